"""Arms: those of each model as it is and under each intervention, and of differences, each next to
its near controls."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from assay.ask.measure import controls, damage, interventions, models, reads, sentences, training
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.measuring import Task, stated
from assay.ask.measure.prompts import PromptSet
from assay.ask.part import LEFT_OUT, LONGEST, STANDING_IN, Part
from assay.ask.tables import Diff, Intervention, Model, Train
from assay.ask.text import Study, frozen_words, is_left_out
from assay.ask.wording import condition
from assay.controls.table import (
    CHANGED,
    DAMAGE,
    OTHER_TEXT,
    POSITION,
    TRAINED,
    TWIN,
    TWINS,
    Control,
    chosen,
)
from assay.core.columns import Column
from assay.core.errors import AssayError, DataError, ExperimentError, nearest
from assay.subjects.folder import most_tokens
from assay.subjects.sizes import read_sizes

Parts: TypeAlias = Any
"""`parts.Parts`, which calls these functions, so that it cannot be imported here."""


def ask(parts: Parts, m: int, model: Model) -> None:
    """Add the arms of one model: as it is, and under each intervention."""
    text, study = parts.text, parts.text.study
    prefix = parts._prefix(m, model)
    main = prefix.rstrip("/") or "main"
    parts.parts.append(Part(main, parts._task(model)))
    key: tuple[str | int, ...] = ("model", m, "controls")
    if m >= len(study.model):
        key = ("train", [t.name for t in study.train].index(model.label))
    with text.located(*key):
        start = parts._start(model)
        known = controls.of_model(
            study.read,
            parts.first,
            untrained=bool(model.like),
            changed=start is not None,
        )
        known += [DAMAGE, OTHER_TEXT] if _is_tuned(parts, model) else []
        near = chosen(main, known, model.controls)
    twin = _untwinned(model) if model.like else _twin(model)
    for control in near:
        if control in (DAMAGE, OTHER_TEXT):
            _add_unrelated(parts, main, control, dataclasses.replace(parts._task(model)))
            continue
        task = parts._task(twin if control in (TWIN, TRAINED) else model)
        task = dataclasses.replace(task, start=start if control == CHANGED else None)
        _add_control(parts, main, control, task)
    for i, table in enumerate(study.intervene):
        with text.located("intervene", i):
            interventions.check(table, study.direction)
            table = interventions.expanded(table, study.direction)
            name = f"{prefix}{table.name}"
            task = parts._task(model, msgspec.structs.replace(table, damage=""))
            parts.parts.append(Part(name, task))
            whole = task
            for control in controls.of_intervention(table, study.direction):
                if control.name == "layer" and _has_one_block(parts, model):
                    what = "the model has one block, and so no other layer"
                    _leave_out(parts, f"{name}/layer", what)
                    continue
                label = f"{name}/{control.name}"
                task = narrowed(whole, name, study, frozen_words(text.path, label))
                if control == DAMAGE:
                    _add_unrelated(parts, name, control, task, table.damage, "damage")
                    continue
                changed = dataclasses.replace(task, control=control.name)
                parts.parts.append(Part(label, changed, control, name))


def compare(parts: Parts, i: int, diff: Diff, names: tuple[str, str]) -> None:
    """Add the arms of a difference between two models."""
    first, second = (_model(parts, i, name) for name in names)
    if first == second:
        raise parts.text.error(("diff", i, "models"), "a model less itself is 0")
    if (steps := models.levels(first)) and steps != models.levels(second):
        what = "the first has checkpoints and the second not the same ones; give both the same"
        raise parts.text.error(("diff", i, "models"), what)
    task = parts._task(second, _under(parts, i, diff))
    task = dataclasses.replace(task, less=first)
    folders = [parts._folder(models.states(m)[0]) for m in (first, second)]
    if not models.same_tokens(*folders):
        some = tuple(r for r in task.reads if reads.kind_of(r) not in reads.COMPARING)
        task = dataclasses.replace(task, reads=some)
    parts.parts.append(Part(diff.name, task))
    table = task.intervention
    pairs = table is not None and bool(table.patch)  # whose source is the prompt's own pair
    known = controls.of_diff(
        () if pairs else task.reads, task.prompts, same_shape=models.same_shape(*folders)
    )
    if table is None and _is_tuned(parts, second) and parts._start(second) == first:
        known += [DAMAGE, OTHER_TEXT]
    if table and DAMAGE in controls.of_intervention(table, parts.text.study.direction):
        known += [DAMAGE]
    for control in chosen(diff.name, known, diff.controls):
        if control in (DAMAGE, OTHER_TEXT):
            _add_unrelated(parts, diff.name, control, task, _unrelated(parts, diff))
            continue
        other = task
        if control == CHANGED:
            other = dataclasses.replace(task, start=first)
        elif control == TWINS:
            one, two = (m if m.like else _twin(m) for m in (first, second))
            other = dataclasses.replace(task, model=two, less=one)
        _add_control(parts, diff.name, control, other)


def _under(parts: Parts, i: int, diff: Diff) -> Intervention | None:
    """The intervention under which both sides of a difference are read."""
    if not diff.intervention:
        return None
    by_name = {t.name: t for t in parts.text.study.intervene}
    if diff.intervention not in by_name:
        what = f"there is no intervention {diff.intervention!r}"
        hint = nearest(diff.intervention, by_name)
        raise parts.text.error(("diff", i, "intervention"), f"{what}; {hint}")
    table = msgspec.structs.replace(by_name[diff.intervention], damage="")
    return interventions.expanded(table, parts.text.study.direction)


def _unrelated(parts: Parts, diff: Diff) -> str:
    """The unrelated prompts that the intervention of a difference names."""
    named = (t.damage for t in parts.text.study.intervene if t.name == diff.intervention)
    return next(named, "")


def compare_prompts(parts: Parts, i: int, diff: Diff) -> None:
    """Add the arms of a difference between two tables of prompts, in each model."""
    assert diff.prompts is not None
    for name in (n for n in diff.prompts if n not in parts.prompts):
        hint = nearest(name, parts.prompts)
        raise parts.text.error(("diff", i, "prompts"), f"there are no prompts {name!r}; {hint}")
    first, second = (parts.prompts[name] for name in diff.prompts)
    table = _under(parts, i, diff)
    for m, model in enumerate(parts.models):
        task = dataclasses.replace(parts._task(model, table), prompts=second, than=first)
        columns = {*first.rows[0].columns} & {*second.rows[0].columns}
        some = tuple(r for r in task.reads if reads.fits(r, columns))
        if table is None:  # nothing is done, so that nothing differs from the untouched model
            some = tuple(r for r in some if reads.kind_of(r) not in reads.COMPARING)
        task = dataclasses.replace(task, reads=some)
        _refuse_unpaired(task, first, second)
        name = f"{parts._prefix(m, model)}{diff.name}"
        parts.parts.append(Part(name, task))
        if table is not None:
            near = controls.of_intervention(table, parts.text.study.direction)
            for control in chosen(name, near, diff.controls):
                if control == DAMAGE:
                    _add_unrelated(parts, name, control, task, _unrelated(parts, diff))
                    continue
                changed = dataclasses.replace(task, control=control.name)
                parts.parts.append(Part(f"{name}/{control.name}", changed, control, name))
            continue
        _add_controls_of_model(parts, name, task, diff.controls)


def _add_controls_of_model(
    parts: Parts, of: str, task: Task, wanted: tuple[str, ...] | None
) -> None:
    """Add the near controls of what a model as it is has of a table of prompts, or of two."""
    model = task.model
    known = controls.of_model(task.reads, task.prompts, untrained=bool(model.like), changed=False)
    twin = _untwinned(model) if model.like else _twin(model)
    for control in chosen(of, known, wanted):
        other = twin if control in (TWIN, TRAINED) else model
        _add_control(parts, of, control, dataclasses.replace(task, model=other))


def ask_other_prompts(parts: Parts, m: int, model: Model) -> None:
    """Add the arms of a model as it is on further prompts that a statement names as an arm."""
    study = parts.text.study
    conditions = [*(c.holds for c in study.claim), *(e.value for e in study.estimate)]
    for entry in study.prompts[1:]:
        name = f"{parts._prefix(m, model)}{entry.name}"
        arm = re.compile(rf"(?<![\w./-]){re.escape(name)}\"?\.\w")
        if any(map(arm.search, conditions)) and all(p.label != name for p in parts.parts):
            task = dataclasses.replace(parts._task(model), prompts=parts.prompts[entry.name])
            columns = {*task.prompts.rows[0].columns}
            some = tuple(
                r
                for r in task.reads
                if reads.fits(r, columns) and reads.kind_of(r) not in reads.COMPARING
            )
            task = dataclasses.replace(task, reads=some)
            parts.parts.append(Part(name, task))
            _add_controls_of_model(parts, name, task, model.controls)


def _add_control(parts: Parts, of: str, control: Control, task: Task) -> None:
    """Add a control of models as they are, or of their difference."""
    stands_in: Any = control.name if control.name in STANDING_IN else ""
    task = dataclasses.replace(task, stands_in=stands_in)
    if control == POSITION:  # anything else is about the tokens that were there
        some = tuple(r for r in task.reads if controls.looks_at_a_slot(r))
        task = dataclasses.replace(task, reads=some)
    parts.parts.append(Part(f"{of}/{control.name}", task, control, of))


def _is_tuned(parts: Parts, model: Model) -> bool:
    """Whether a model is one that the study trains further."""
    return model.name in parts.trains and bool(parts.trains[model.name].of)


def _add_unrelated(
    parts: Parts, of: str, control: Control, task: Task, name: str = "", key: str = ""
) -> None:
    """Add a control that does the same to unrelated prompts, or learns them; where it cannot be
    made it is left out, and the author is told."""
    label = f"{of}/{control.name}"
    if is_left_out(label, parts.frozen):
        return
    train = parts.trains.get(task.model.name)
    name = name or (train.damage if train else "")
    if name and name not in parts.prompts:
        raise ExperimentError(f"there are no prompts {name!r}; {nearest(name, parts.prompts)}")
    if control == OTHER_TEXT:
        assert train is not None
        other = _on_other_text(parts, train, name or sentences.NAME, task.model)
        parts.parts.append(Part(label, dataclasses.replace(task, model=other), control, of))
        return
    fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(Task)}
    fields |= {"control": control.name, "other": parts.prompts[name or sentences.NAME]}
    if train is not None and not task.intervention and task.less is None:
        fields["start"] = parts._start(task.model)
    made = DamageTask(**fields)
    if not name and not _reads_sentences(parts, task.model):
        _leave_out(parts, label, "the model reads fewer tokens at once than a plain sentence has")
        return
    try:
        if made.intervention is not None:
            damage.moved(made.intervention, made.unrelated)
    except DataError as e:
        if name:
            raise
        _leave_out(parts, label, e)
        return
    parts.parts.append(Part(label, made, control, of))


def _reads_sentences(parts: Parts, model: Model) -> bool:
    """Whether a model reads the plain sentences, as far as it is known."""
    small = parts.trains.get(model.name)
    if small and not small.of:
        return (training.usual(small).context or 0) >= LONGEST
    with suppress(AssayError):
        folder = parts.found(models.states(model)[0])
        texts = [row.text + row.columns[sentences.END] for row in sentences.plain().rows]
        most = max(len(folder.tokenizer.encode(text)) for text in texts)
        return most + len(folder.opening) <= most_tokens(folder)
    return True


def _has_one_block(parts: Parts, model: Model) -> bool:
    """Whether a model is known to have one block."""
    with suppress(AssayError):
        small = parts.trains.get(model.name)
        folder = training.shell(small) if small and not small.of else None
        folder = folder or parts.found(models.states(model)[0])
        return read_sizes(folder.config)["layers"] == 1
    return False


def _leave_out(parts: Parts, label: str, why: object) -> None:
    """Tell of an automatic control that cannot be made, once."""
    line = f"{label}: {why}{LEFT_OUT}"
    parts.remarks += [line] if line not in parts.remarks else []


def _on_other_text(parts: Parts, train: Train, name: str, model: Model) -> Model:
    """A model that is trained as another one is, but on unrelated prompts."""
    other = msgspec.structs.replace(train, prompts=name, text="", damage="", controls=None)
    parts.trains[training.name_of(other)] = other
    made = Model(name=training.name_of(other), bos=model.bos)
    parts.on_other_text[made.name] = made
    return made


def _model(parts: Parts, i: int, name: str) -> Model:
    """The model that a difference names."""
    by_name = {"main": parts.models[0], parts.models[0].name: parts.models[0]}
    by_name |= {m.label: m for m in parts.models if m.label}
    if name not in by_name:
        hint = nearest(name, [n for n in by_name if n])
        raise parts.text.error(("diff", i, "models"), f"there is no model {name!r}; {hint}")
    return by_name[name]


def narrowed(task: Task, arm: str, study: Study, frozen: Mapping[str, Any] | None) -> Task:
    """What a control of an arm measures: the levels that claims name, where all that read the arm
    name one; of what was frozen with all levels, all."""
    columns: list[Column] = []
    for entry in study.claim:
        with suppress(AssayError):  # reported where it is read
            columns += condition(entry.holds).columns
    others = [x for e in study.claim for x in (*e.near, *e.also, *e.control, *e.violations)]
    others += [word for e in study.estimate for word in [e.value] if f"{arm}/" in word]
    others += [c.arm for c in columns if c.arm and c.arm.startswith(f"{arm}/")]
    own = [c for c in columns if c.arm in (None, arm)]
    table = task.intervention
    if table is None or not own or any(arm in name for name in others):
        return task
    asked = json.loads(json.dumps(stated(table)))
    if frozen and (frozen.get("intervention") or {}).get("sweep") == asked.get("sweep"):
        return task
    sweep = dict(table.sweep)
    for dim, levels in table.sweep.items():
        named = {c.place(dim, x, levels) for c in own for d, x in c.levels if d == dim}
        if named and all(dim in dict(c.levels) for c in own):
            sweep[dim] = tuple(levels[i] for i in sorted(named))
    return dataclasses.replace(task, intervention=msgspec.structs.replace(table, sweep=sweep))


def _refuse_unpaired(task: Task, first: PromptSet, second: PromptSet) -> None:
    """Refuse prompts that cannot be compared row by row. Raises: DataError."""
    names = f"{first.table.name} and {second.table.name}"
    if len(first.rows) != len(second.rows):
        what = f"they have {len(first.rows)} and {len(second.rows)}"
        raise DataError(f"{names} are compared row by row, and {what}; give equally many rows")
    if first.digest == second.digest:
        raise DataError(f"{names} are the same prompts, so their difference is 0")
    every = range(len(second.rows))
    if second.unit != first.unit or (
        second.unit != "prompt" and first.units(every) != second.units(every)
    ):
        raise DataError(f"{names} are compared row by row; give both rows of the same units")
    if task.learns_here or dataclasses.replace(task, prompts=first).learns_here:
        what = "something is learned or chosen from them; learn it from other prompts"
        raise DataError(f"{names} are compared row by row, and {what}")


def _twin(model: Model) -> Model:
    """An untrained model of the same shape, or of each state of a training."""
    return msgspec.structs.replace(model, name="", like=models.states(model)[0], weights=None)


def _untwinned(model: Model) -> Model:
    """The model whose untrained twin this is."""
    return msgspec.structs.replace(model, name=model.like, like="")
