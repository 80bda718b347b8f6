"""Arms of a study that asks models, in the order of its text. `add_arms` checks the tables, then
adds for each model the model as it is (`ask`), its interventions and its probes, and after these
the differences (`compare`, `compare_prompts`) and the dictionaries. Each arm is followed by its
near controls; an automatic control that cannot be made is left out, and a remark says why."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from assay.ask import near, selection
from assay.ask.measure import (
    choosing,
    controls,
    damage,
    dictionaries,
    directions,
    interventions,
    measuring,
    models,
    probe_tasks,
    prompts,
    reads,
    sae_arms,
    saes,
    training,
)
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.probe_parts import WHOLE
from assay.ask.measure.probe_tasks import MAJORITY, ProbeTask
from assay.ask.measure.prompts import PromptSet, refuse_shuffled
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task, stated
from assay.ask.near import Control, chosen
from assay.ask.part import LEFT_OUT, LONGEST, STANDING_IN, Part
from assay.ask.resolved import ResolvedStudy
from assay.ask.tables import Diff, Intervention, Model, Plain, Position, Probe, Train, Weights
from assay.ask.text import Study, arm_on, frozen_words, is_left_out, measures_named, reads_of
from assay.ask.wording import condition
from assay.core.columns import Column
from assay.core.errors import AssayError, ClaimError, DataError, ExperimentError, nearest
from assay.data import corpus as corpora
from assay.lab.catalogue import STORE
from assay.subjects.sizes import read_sizes


def add_arms(study: ResolvedStudy) -> None:
    """Add all arms of a study. Raises: ExperimentError with line and column, for what is wrong with
    its text and its files."""
    if not study.models:
        return
    _check_tables(study)
    text, trains = study.text, study.text.study.train
    for train in trains:
        if train.name in study.saes and train.context is None:
            _shorten(study, study.saes[train.name])
    _refuse_latents(study)
    _refuse_lost(study)
    if study.prompts:
        _ask_all(study)
        _refuse_leaks(study)
        if study.selects:
            selection.refuse_sources(study)
    for i, train in enumerate(trains):
        if train.name in study.saes:
            with text.located("train", i):
                study.parts += _of_dictionary(study, study.saes[train.name])


def _check_tables(study: ResolvedStudy) -> None:
    """Refuse a study that measures nothing, and directions and reads that no model could have."""
    text, tables = study.text, study.text.study
    if not study.prompts and (tables.read or tables.probe or not study.saes):
        raise text.error(("model",), 'there are no prompts: write [[prompts]] with text = "…"')
    for i, direction in enumerate(tables.direction):
        with text.located("direction", i):
            directions.check(direction)
    for i, read in enumerate(tables.read):
        with text.located("read", i):
            reads.check(read, tables.direction)
    if not (tables.read or tables.probe or study.saes):
        message = (
            'nothing is measured: write [[read]] with a name and log_prob = " yes", or [[probe]]'
        )
        raise text.error(("model",), message)
    if tables.intervene and not tables.read and not any(p.intervention for p in tables.probe):
        message = 'nothing is measured under it: write [[read]] with a name and log_prob = " yes"'
        raise text.error(("intervene", 0), message)


def _refuse_leaks(study: ResolvedStudy) -> None:
    """Refuse prompts of which a unit is both learned from and measured, and a direction that is
    learned from the texts on which it is judged."""
    changes = [p.task.change for p in study.parts if isinstance(p.task, ProbeTask)]
    tasks = [p.task for p in study.parts if isinstance(p.task, Task)]
    learned = {task.prompts.table.name for task in tasks if task.learns_here}
    for i, entry in enumerate(study.text.study.prompts):
        if entry.name in learned:
            with study.text.located("prompts", i):
                study.prompts[entry.name].halves()
    for part in study.parts if study.frozen is None else ():
        probed = part.task
        if isinstance(probed, ProbeTask) and probed.change and probed.test is not None:
            for table in probed.change.own_directions:
                i = study.text.index("direction", table.name)
                with study.text.located("direction", i, "prompts"):
                    directions.refuse_judged(table, probed.test)
    for task in (*tasks, *filter(None, changes)) if study.frozen is None else ():
        for table in task.own_directions:
            i = study.text.index("direction", table.name)
            with study.text.located("direction", i, "prompts"):
                directions.refuse_leaks(table, task.sources, task.prompts)


def _ask_all(study: ResolvedStudy) -> None:
    """Add the arms of all reads and probes, of each model and of their differences."""
    tables, text = study.text.study, study.text
    with text.located("read", 0):
        taken_names = {p.unit: p.table.name for p in study.prompts.values()}
        taken_names |= {d: p.table.name for p in study.prompts.values() for d in p.dims()}
        taken_names |= dict.fromkeys(("run", "seed"), "each run")
        taken_names |= {d: m.label or m.name for m in study.models for d in m.sweep}
        reads.check_sweeps(tables.read, taken_names, tables.intervene)
    study.prompts[damage.SENTENCES] = damage.plain_sentences()
    for m, model in enumerate(study.models):
        if tables.read:
            ask(study, m, model)
        for i, probe in enumerate(tables.probe):
            with text.located("probe", i):
                study.parts += _probe(study, study.prefix(m, model), model, probe)
    for i, diff in enumerate(tables.diff):
        with text.located("diff", i):
            if (diff.models is None) == (diff.prompts is None):
                message = "give two models, or two prompts"
                raise ExperimentError(f"{diff.name!r}: {message}")
            if diff.models:
                compare(study, i, diff, diff.models)
                for on in _others_of(study, diff.name):
                    compare(study, i, diff, diff.models, on)
            else:
                compare_prompts(study, i, diff)
    for m, model in enumerate(study.models if tables.read else ()):
        ask_other_prompts(study, m, model)
        ask_on_others(study, m, model)


def _others_of(study: ResolvedStudy, arm: str) -> list[str]:
    """The prompts of reads on which a statement uses this arm."""
    statements = {label for label, _ in measures_named(study.text.study)}
    names = dict.fromkeys(r.prompts for r in study.text.study.read if r.prompts)
    return [name for name in names if arm_on(arm, name) in statements]


def _refuse_lost(study: ResolvedStudy) -> None:
    """Refuse a read of prompts that do not exist, and first prompts that nothing reads."""
    tables, first = study.text.study, next(iter(study.prompts), "")
    for i, read in enumerate(tables.read):
        if read.prompts and read.prompts not in study.prompts:
            hint = nearest(read.prompts, study.prompts)
            message = f"{read.name} is of prompts {read.prompts!r}, and there are none; {hint}"
            raise study.text.error(("read", i, "prompts"), message)
    if tables.read and not reads_of(tables.read, first, first=True):
        arm = f"{tables.read[0].prompts}.{tables.read[0].name}"
        message = (
            f"every read names other prompts than {first}, which the arms measure by default: "
            "write the [[prompts]] that you measure first, and those that are only learned from "
            "after them; or leave out prompts under one read, and write the name of the other "
            f"prompts as its arm, as in {arm} (docs/tables/prompts.md, Several tables of prompts)"
        )
        raise study.text.error(("prompts", 0), message)


def _of_dictionary(study: ResolvedStudy, table: Train) -> list[Part]:
    """The arms of a dictionary that the study trains. Where the study has no other arms, its arm
    main comes first: the mean activation, which the dictionary has to beat."""
    model = study.read_by(table)
    documents: tuple[str, ...] = ()
    if table.text:
        corpus = corpora.load(table.text)
        documents = tuple(corpus.documents[k].path for k in corpus.part("test"))
    other = study.other_of(table)
    source = study.prompts.get(table.prompts)
    task = SaeTask(model, table, source, documents=documents, other=other)
    if not task.levels:
        message = "the test part of its text is empty; give a text of more files"
        raise DataError(f"{table.name!r} cannot be measured: {message}")
    parts = [Part(table.name, task)]
    automatic = [c for c in sae_arms.controls_of(task) if not (c is near.FROZEN and table.frozen)]
    if other and models.same_shape(*(study.folder_of(m.name) for m in task.models)):
        automatic.append(near.CHANGED)
    for control in chosen(table.name, automatic, table.controls):
        changed = dataclasses.replace(task, control=control.name)
        if control is near.ITSELF:
            changed = dataclasses.replace(changed, other=model)
        parts.append(Part(f"{table.name}/{control.name}", changed, control, table.name))
    if not study.parts:
        parts.insert(0, Part("main", dataclasses.replace(task, control=sae_arms.MEAN)))
    return parts


def _shorten(study: ResolvedStudy, table: Train) -> None:
    """Use windows no longer than the model's context, where the study gives no length."""
    both = (study.read_by(table), study.other_of(table))
    with suppress(AssayError):
        longest = min(study.shaped_as(model).most_tokens for model in both if model)
        context = min(longest, table.context or longest)
        study.saes[table.name] = msgspec.structs.replace(table, context=context)


def _refuse_latents(study: ResolvedStudy) -> None:
    """Refuse a latent that a dictionary of the study does not have."""
    tables = study.text.study
    for kind, key in (("read", "feature"), ("direction", "feature"), ("intervene", "clamp")):
        for i, table in enumerate(getattr(tables, kind)):
            feature = getattr(table, key)
            if feature is not None and feature[0] in study.saes:
                with study.text.located(kind, i, key):
                    latents = feature[1] if isinstance(feature[1], tuple) else (feature[1],)
                    for latent in (*latents, *table.sweep.get(key, ())):
                        dictionary = study.saes[feature[0]]
                        saes.refuse_latent(dictionary, latent, writes=kind != "read")
    whole = [("intervene", i, "reconstruct", t.reconstruct) for i, t in enumerate(tables.intervene)]
    for key in ("l0", "fvu"):
        whole += [("read", i, key, getattr(r, key)) for i, r in enumerate(tables.read)]
    for table_kind, n, field, sae in whole:
        if sae in study.saes:
            with study.text.located(table_kind, n, field):
                saes.refuse_many(study.saes[sae])
    for i, probe in enumerate(tables.probe):
        for name in (probe.dictionary, *probe.sweep.get("dictionary", ())):
            if name in study.saes:
                with study.text.located("probe", i, "dictionary"):
                    saes.refuse_codes(study.saes[name])


def _probe(study: ResolvedStudy, prefix: str, model: Model, table: Probe) -> list[Part]:
    """The arms of a probe in a model. Where the study has no other arms, its arm main comes first:
    the most frequent label, which the probe has to beat."""
    if model.sweep:
        raise DataError(f"{table.name}: a probe reads one model, and {model.label} sweeps several")
    source = study.prompts_called(table.prompts) if table.prompts else study.first
    test = prompts.alike(study.prompts_called(table.test), source) if table.test else None
    frozen = frozen_words(study.text.path, f"{prefix}{table.name}/untrained")
    if table.dictionary and not table.site and not {"site", "dictionary"} & {*table.sweep}:
        table = msgspec.structs.replace(table, site=_own_site(study, table.dictionary))
    task = ProbeTask(
        model,
        table,
        source,
        test,
        change=_change(study, model, table, source),
        asked=_asked(study, f"{prefix}{table.name}"),
        one_twin=frozen is None or "twin" in frozen,
    )
    probe_tasks.check(task)
    parts, name = [Part(f"{prefix}{table.name}", task)], f"{prefix}{table.name}"
    changes = _controls_of_change(study, task)
    for control in controls.of_probe(table, trained=not model.like, changes=changes):
        if is_left_out(f"{name}/{control.name}", study.frozen):
            continue
        changed = dataclasses.replace(task, control=control.name)
        if control in changes and task.change:
            change = dataclasses.replace(task.change, control=control.name)
            changed = dataclasses.replace(changed, change=change)
        if control == near.PLACES:
            changed = dataclasses.replace(changed, table=probe_tasks.linear(task))
        parts.append(Part(f"{name}/{control.name}", changed, control, name))
    if not study.parts:
        plain = msgspec.structs.replace(table, **WHOLE)
        task = dataclasses.replace(task, table=plain, one_twin=True, change=None)
        parts.insert(0, Part("main", dataclasses.replace(task, control=MAJORITY)))
    return parts


def _own_site(study: ResolvedStudy, name: str) -> str:
    """The site that a dictionary reads. Raises: DataError for several sites, or an unknown one."""
    if name in study.saes:
        return str(saes.sites_of(study.saes[name])[0])
    dictionary = dictionaries.opened(name, study.folder, STORE.get())
    return str(directions.site_of(name, dictionary))


def _change(study: ResolvedStudy, model: Model, table: Probe, source: PromptSet) -> Task | None:
    """The intervention under which a probe reads the model. Raises: ExperimentError, DataError."""
    tables = study.text.study
    if not table.intervention:
        return None
    changed = msgspec.structs.replace(study.intervention(table.intervention), prompts="")
    interventions.check(changed, tables.direction)
    if interventions.expanded(changed, tables.direction).sweep:
        raise ExperimentError(
            f"{table.name!r} reads under one change, and {changed.name!r} has a sweep; write an "
            "[[intervene]] without it"
        )
    return Task(
        model,
        source,
        (),
        changed,
        directions=tables.direction,
        sources=study.prompts,
        first=interventions.before(changed, tables.intervene),
    )


def _controls_of_change(study: ResolvedStudy, task: ProbeTask) -> list[Control]:
    """The near controls of the intervention under which a probe reads, except `damage`."""
    table, alone = task.intervention, has_one_block(study, task.model)
    automatic = controls.of_intervention(table, study.text.study.direction) if table else ()
    return [c for c in automatic if c != near.DAMAGE and not (alone and c.name == "layer")]


def _asked(study: ResolvedStudy, probe: str) -> tuple[str, ...]:
    """The optional measures of a probe that a statement names for one of its arms."""
    tables, arms = study.text.study, dict[str, set[str]]()
    texts = [(c.holds, True) for c in tables.claim] + [(e.value, False) for e in tables.estimate]
    for text, compared in texts:
        with suppress(AssayError):  # reported where it is read
            for c in condition(text, compared=compared).columns:
                arms.setdefault(c.name, set()).add(c.arm or "main")
    return tuple(
        name
        for name in probe_tasks.ASKED
        for arms_of_measure in [arms.get(name, ())]
        if any(arm == "main" or f"{arm}/".startswith(f"{probe}/") for arm in arms_of_measure)
    )


def ask(study: ResolvedStudy, m: int, model: Model) -> None:
    """Add the arms of one model: unchanged, and under each intervention."""
    text, tables = study.text, study.text.study
    prefix = study.prefix(m, model)
    main = prefix.rstrip("/") or "main"
    study.parts.append(Part(main, study.task(model)))
    key: tuple[str | int, ...] = ("model", m, "controls")
    if m >= len(tables.model):
        key = ("train", text.index("train", model.label))
    with text.located(*key):
        start = study.start_of(model)
        automatic = controls.of_model(
            tables.read, study.first, untrained=bool(model.like), changed=start is not None
        )
        automatic += _of_training(study, model)
        there = _elsewhere(study, model)
        automatic += [near.ELSEWHERE] if there else []
        automatic += [near.DAMAGE] if model.weights and study.frozen is None else []
        chosen_controls = chosen(main, automatic, model.controls)
    at_levels = _at_named_levels(tables, main, model)
    there = there and models.only(there, at_levels.sweep)
    twin = _untwinned(at_levels) if model.like else _twin(at_levels, study)
    for control in chosen_controls:
        other = there if there and control == near.ELSEWHERE else at_levels
        task = study.task(twin if control in (near.TWIN, near.TRAINED) else other)
        task = dataclasses.replace(task, start=start if control == near.CHANGED else None)
        _add_control(study, main, control, task)
    for i, table in enumerate(tables.intervene):
        with text.located("intervene", i):
            interventions.check(table, tables.direction)
            table = interventions.expanded(table, tables.direction)
            if both := sorted({*table.sweep} & {*model.sweep}):
                raise DataError(f"{table.name} and its model both sweep {both[0]}; rename one slot")
            task = study.task(model, msgspec.structs.replace(table, damage=""))
            _add_changed(study, f"{prefix}{table.name}", table, task)


def _add_changed(study: ResolvedStudy, name: str, table: Intervention, whole: Task) -> None:
    text, tables = study.text, study.text.study
    study.parts.append(Part(name, whole))
    stated_controls = {arm.removeprefix(f"{name}/") for arm, _ in measures_named(tables)}
    for control in controls.of_intervention(table, tables.direction, stated_controls):
        if control.name == "layer" and has_one_block(study, whole.model, table):
            _leave_out(study, f"{name}/layer", "the model has no block without the change")
            continue
        label = f"{name}/{control.name}"
        task = narrowed(whole, name, tables, frozen_words(text.path, label))
        if control == near.DAMAGE:
            _add_unrelated(study, name, control, task, table.damage)
            continue
        changed = dataclasses.replace(task, control=control.name)
        if control.name == "token":
            changed = dataclasses.replace(changed, avoids=_rivals_places(study, name, table, label))
        study.parts.append(Part(label, changed, control, name))


def _rivals_places(
    study: ResolvedStudy, arm: str, table: Intervention, label: str
) -> tuple[Position, ...]:
    """The other positions that arms of the same claims change on the same prompts; none for a study
    that was frozen before the control avoided them."""
    if study.frozen is not None and "avoids" not in (frozen_words(study.text.path, label) or {}):
        return ()
    claimed_arms: set[str] = set()
    for entry in study.text.study.claim:
        with suppress(AssayError):  # reported where it is read
            arms = {*condition(entry.holds).parsed.arms}
            claimed_arms |= arms if arm in arms else set()
    prefix = arm.removesuffix(table.name)
    rivals = [
        interventions.swept(t, point).position
        for t in study.text.study.intervene
        if t.prompts == table.prompts and f"{prefix}{t.name}" in claimed_arms
        for point in interventions.points(interventions.expanded(t, study.text.study.direction))
    ]
    every = (p for p in rivals if p not in ("all", table.position))
    return tuple(dict.fromkeys(x for p in every for x in (p if isinstance(p, tuple) else (p,))))


def ask_on_others(study: ResolvedStudy, m: int, model: Model) -> None:
    """Add the arms of a model under each intervention on the prompts that reads name, where a
    statement uses such an arm."""
    tables, prefix = study.text.study, study.prefix(m, model)
    statements = {arm for arm, _ in measures_named(tables)}
    for other in dict.fromkeys(r.prompts for r in tables.read if r.prompts):
        for i, table in enumerate(tables.intervene):
            name = arm_on(f"{prefix}{table.name}", other)
            if any(arm.startswith(name) for arm in statements):
                with study.text.located("intervene", i):
                    table = interventions.expanded(table, tables.direction)
                    task = study.task(model, msgspec.structs.replace(table, damage=""))
                    _add_changed(study, name, table, on_prompts(study, task, other))


def on_prompts(study: ResolvedStudy, task: Task, prompts: str) -> Task:
    """Measure an arm on other prompts. What it learns or chooses stays that of its own prompts."""
    usual, tables = task.prompts.table.name, study.text.study
    return dataclasses.replace(
        task,
        prompts=study.prompts[prompts],
        reads=reads_of(tables.read, prompts, first=False),
        directions=tuple(choosing.made_for(d, usual, tables.read) for d in task.directions),
        made_for=task.prompts if task.intervention else None,
        chooses=False,
        choosers=tables.read,
    )


def compare(study: ResolvedStudy, i: int, diff: Diff, names: tuple[str, str], on: str = "") -> None:
    """Add the arms of a difference between two models, on their prompts or on others."""
    first, second = (_model(study, i, name) for name in names)
    unnamed = partial(msgspec.structs.replace, label="", controls=None)
    if unnamed(first) == unnamed(second):
        raise study.text.error(("diff", i, "models"), "a model less itself is 0")
    if (steps := models.levels(first)) and steps != models.levels(second):
        message = "the first has checkpoints and the second not the same ones; give both the same"
        raise study.text.error(("diff", i, "models"), message)
    name = arm_on(diff.name, on) if on else diff.name
    task = study.task(second, _under(study, i, diff))
    task = dataclasses.replace(on_prompts(study, task, on) if on else task, less=first)
    folders = [study.folder_of(models.states(m)[0]) for m in (first, second)]
    if not models.same_tokens(*folders):
        apart = (r for r in task.reads if not (reads.compares(r) or reads.of_own_token(r)))
        task = dataclasses.replace(task, reads=tuple(apart))
    study.parts.append(Part(name, task))
    table = task.intervention
    pairs = table is not None and bool(table.patch)  # whose source is the prompt's own pair
    automatic = controls.of_diff(
        () if pairs else task.reads, task.prompts, same_shape=models.same_shape(*folders)
    )
    if table is None and study.is_tuned(second) and study.start_of(second) == first:
        automatic += _of_training(study, second)
    there = _elsewhere(study, second) if table is None else None
    automatic += [near.DAMAGE] if table is None and second.weights and study.frozen is None else []
    automatic += [near.ELSEWHERE] if there else []
    if table and near.DAMAGE in controls.of_intervention(table, study.text.study.direction):
        automatic += [near.DAMAGE]
    first, second = (_at_named_levels(study.text.study, name, m) for m in (first, second))
    task = dataclasses.replace(task, model=second, less=first)
    there = there and models.only(there, second.sweep)
    for control in chosen(name, automatic, diff.controls):
        other = task
        if control == near.CHANGED:
            other = dataclasses.replace(task, start=first)
        elif control == near.ELSEWHERE and there:
            other = dataclasses.replace(task, model=there)
        elif control == near.TWINS:
            first_twin, second_twin = (m if m.like else _twin(m, study) for m in (first, second))
            other = dataclasses.replace(task, model=second_twin, less=first_twin)
        _add_control(study, name, control, other, _unrelated(study, diff))


def _of_training(study: ResolvedStudy, model: Model) -> list[Control]:
    """The controls of a model that the study trains further. An edit of a subject has no
    `other-text`, because plain sentences lack the subject."""
    if not study.is_tuned(model):
        return []
    return [near.DAMAGE] if study.trains[model.name].edit else [near.DAMAGE, near.OTHER_TEXT]


def _under(study: ResolvedStudy, i: int, diff: Diff) -> Intervention | None:
    """The intervention under which both sides of a difference are read."""
    if not diff.intervention:
        return None
    with study.text.located("diff", i, "intervention"):
        table = study.intervention(diff.intervention)
    return interventions.expanded(table, study.text.study.direction)


def _unrelated(study: ResolvedStudy, diff: Diff) -> str:
    """The unrelated prompts that the intervention of a difference names."""
    prompt_names = (t.damage for t in study.text.study.intervene if t.name == diff.intervention)
    return next(prompt_names, "")


def compare_prompts(study: ResolvedStudy, i: int, diff: Diff) -> None:
    """Add the arms of a difference between two tables of prompts, in each model."""
    assert diff.prompts is not None
    with study.text.located("diff", i, "prompts"):
        first, second = map(study.prompts_called, diff.prompts)
    table = _under(study, i, diff)
    for m, model in enumerate(study.models):
        task = dataclasses.replace(study.task(model, table), prompts=second, than=first)
        columns = {*first.rows[0].columns} & {*second.rows[0].columns}
        fitting = tuple(r for r in task.reads if reads.fits(r, columns))
        if table is None:  # without a change, comparisons with the unchanged model are 0
            fitting = tuple(r for r in fitting if r.across or not reads.compares(r))
        task = dataclasses.replace(task, reads=fitting)
        _refuse_unpaired(task, first, second)
        name = f"{study.prefix(m, model)}{diff.name}"
        study.parts.append(Part(name, task))
        if table is not None:
            automatic = controls.of_intervention(table, study.text.study.direction)
            for control in chosen(name, automatic, diff.controls):
                if control == near.DAMAGE:
                    _add_unrelated(study, name, control, task, _unrelated(study, diff))
                    continue
                changed = dataclasses.replace(task, control=control.name)
                study.parts.append(Part(f"{name}/{control.name}", changed, control, name))
            continue
        _add_controls_of_model(study, name, task, diff.controls)


def _add_controls_of_model(
    study: ResolvedStudy, arm: str, task: Task, control_names: tuple[str, ...] | None
) -> None:
    """Add the near controls of an unchanged model on a table of prompts, or on two."""
    model = task.model
    usual = controls.of_model(task.reads, task.prompts, untrained=bool(model.like), changed=False)
    if any(map(task.pairs, task.reads)) and near.ANSWERS not in usual:
        usual.append(near.UNPAIRED)
    twin = _untwinned(model) if model.like else _twin(model, study)
    for control in chosen(arm, usual, control_names):
        other = twin if control in (near.TWIN, near.TRAINED) else model
        _add_control(study, arm, control, dataclasses.replace(task, model=other))


def ask_other_prompts(study: ResolvedStudy, m: int, model: Model) -> None:
    """Add the arms of an unchanged model on further prompts that a statement names as an arm."""
    tables = study.text.study
    statements = {arm for arm, _ in measures_named(tables)}
    for entry in tables.prompts[1:]:
        name = f"{study.prefix(m, model)}{entry.name}"
        if name in statements and all(p.label != name for p in study.parts):
            task = dataclasses.replace(study.task(model), prompts=study.prompts[entry.name])
            # before reads had prompts, these were halved where parts are chosen on others
            halved = task.chooses and not any(r.prompts for r in tables.read)
            task = dataclasses.replace(task, chooses=halved)
            if study.frozen is None:
                task = _as_learned(study, task)
            columns = {*task.prompts.rows[0].columns}
            fitting = tuple(
                r
                for r in reads_of(tables.read, entry.name, first=True)
                if reads.fits(r, columns) and not reads.compares(r)
            )
            task = dataclasses.replace(task, reads=fitting)
            study.parts.append(Part(name, task))
            _add_controls_of_model(study, name, task, model.controls)


def _as_learned(study: ResolvedStudy, task: Task) -> Task:
    """Read other prompts along directions that are learned from the first ones, as the arm of the
    first prompts does."""
    learned = {d.name for d in task.own_directions if directions.way_of(d) in directions.LEARNED}
    usual, choosers = study.first.table.name, study.text.study.read
    every = tuple(
        choosing.made_for(d, usual, choosers) if d.name in learned else d for d in task.directions
    )
    changed = every != task.directions
    return dataclasses.replace(task, directions=every, made_for=study.first) if changed else task


def _add_control(
    study: ResolvedStudy, arm: str, control: Control, task: Task, unrelated: str = ""
) -> None:
    """Add a control of an unchanged model, or of a difference; `unrelated` names its prompts."""
    if control in (near.DAMAGE, near.OTHER_TEXT):
        _add_unrelated(study, arm, control, task, unrelated)
        return
    stands_in: Any = control.name if control.name in STANDING_IN else ""
    task = dataclasses.replace(task, stands_in=stands_in)
    if control == near.POSITION:  # all other reads depend on the original tokens
        at_slots = tuple(r for r in task.reads if controls.looks_at_a_slot(r))
        task = dataclasses.replace(task, reads=at_slots)
    label = f"{arm}/{control.name}"
    if stands_in == "unrelated" and label not in (study.frozen or ()):
        try:
            folder = study.found(models.states(task.model)[0], task.model.bos)
            for side in (task.prompts, task.than or task.prompts):
                measuring.unrelated(dataclasses.replace(task, prompts=side), folder, 0)
        except DataError as e:
            _leave_out(study, label, e)
            return
        except AssayError:
            pass  # reported where the model is read
    study.parts.append(Part(label, task, control, arm))


def _add_unrelated(
    study: ResolvedStudy, arm: str, control: Control, task: Task, name: str = ""
) -> None:
    """Add a control that makes the same change on unrelated prompts, or trains on them. If it
    cannot be made, it is left out with a remark."""
    label = f"{arm}/{control.name}"
    if is_left_out(label, study.frozen):
        return
    train = study.trains.get(task.model.name)
    name = name or (train.damage if train else "")
    if name:
        study.prompts_called(name)
    if control == near.OTHER_TEXT:
        assert train is not None
        unrelated = {
            "prompts": name or damage.SENTENCES,
            "text": "",
            "damage": "",
            "controls": None,
        }
        other = _trained_as(study, train, task.model, unrelated)
        study.parts.append(Part(label, dataclasses.replace(task, model=other), control, arm))
        return
    fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(Task)}
    fields |= {"control": control.name, "other": study.prompts[name or damage.SENTENCES]}
    if train is not None and not task.intervention and task.less is None:
        fields["start"] = study.start_of(task.model)
    elif task.model.weights and not task.intervention:
        fields["start"] = msgspec.structs.replace(task.model, weights=None, sweep={})
    made = DamageTask(**fields)
    if not name and not _reads_sentences(study, task.model):
        _leave_out(study, label, "the model reads fewer tokens at once than a plain sentence has")
        return
    try:
        if made.intervention is not None:
            damage.moved(made.intervention, made.unrelated)
    except DataError as e:
        if name:
            raise
        _leave_out(study, label, e)
        return
    study.parts.append(Part(label, made, control, arm))


def _reads_sentences(study: ResolvedStudy, model: Model) -> bool:
    """Whether a model's context is long enough for the plain sentences, as far as is known."""
    small = study.trains.get(model.name)
    if small and not small.of:
        return (training.usual(small).context or 0) >= LONGEST
    with suppress(AssayError):
        folder = study.found(models.states(model)[0])
        texts = [row.text + row.columns[damage.END] for row in damage.plain_sentences().rows]
        longest = max(len(folder.tokenizer.encode(text)) for text in texts)
        return longest + len(folder.opening) <= folder.most_tokens
    return True


def has_one_block(study: ResolvedStudy, model: Model, table: Intervention | None = None) -> bool:
    """Whether the model is known to have one block only, or no block that an intervention leaves
    unchanged."""
    points = interventions.points(table) if table and study.frozen is None else ()
    changed = [len(interventions.blocks_of(interventions.swept(table, p))) for p in points if table]
    with suppress(AssayError):
        return read_sizes(study.shaped_as(model).config)["layers"] <= max([1, *changed])
    return False


def _leave_out(study: ResolvedStudy, label: str, why: object) -> None:
    """Add a remark, once, about an automatic control that cannot be made."""
    line = f"{label}: {why}{LEFT_OUT}"
    study.remarks += [line] if line not in study.remarks else []


def _trained_as(
    study: ResolvedStudy, train: Train, model: Model, changes: Mapping[str, Any]
) -> Model:
    """A model trained like another one, except for these fields."""
    other = msgspec.structs.replace(train, **changes)
    study.trains[training.name_of(other)] = other
    made = Model(name=training.name_of(other), bos=model.bos)
    study.trained_for_controls[made.name] = made
    return made


def _model(study: ResolvedStudy, i: int, name: str) -> Model:
    by_name = {"main": study.models[0], study.models[0].name: study.models[0]}
    by_name |= {m.label: m for m in study.models if m.label}
    if name not in by_name:
        hint = nearest(name, [n for n in by_name if n])
        raise study.text.error(("diff", i, "models"), f"there is no model {name!r}; {hint}")
    return by_name[name]


def narrowed(task: Task, arm: str, study: Study, frozen: Mapping[str, Any] | None) -> Task:
    """What a control of an arm measures: only the levels that claims name, if every claim about the
    arm names one. A control that was frozen with all levels keeps them all."""
    if (table := task.intervention) is None:
        return task
    words = json.loads(json.dumps(stated(table)))
    if frozen and (frozen.get("intervention") or {}).get("sweep") == words.get("sweep"):
        return task
    sweep = _named_levels(study, arm, table.sweep)
    return dataclasses.replace(task, intervention=msgspec.structs.replace(table, sweep=sweep))


def _at_named_levels(study: Study, arm: str, model: Model) -> Model:
    """A model at those levels of its weights that the claims about an arm name."""
    return models.only(model, _named_levels(study, arm, model.sweep))


def _named_levels(
    study: Study, arm: str, sweep: Mapping[str, tuple[Plain, ...]]
) -> dict[str, tuple[Plain, ...]]:
    """The levels of a sweep that claims name, if every claim about the arm names one; otherwise
    all."""
    columns: list[Column] = []
    for entry in study.claim:
        with suppress(AssayError):  # reported where it is read
            columns += condition(entry.holds).columns
    others = [x for e in study.claim for x in (*e.near, *e.also, *e.control, *e.violations)]
    others += [word for e in study.estimate for word in [e.value] if f"{arm}/" in word]
    others += [c.arm for c in columns if c.arm and c.arm.startswith(f"{arm}/")]
    of_arm = [c for c in columns if c.arm in (None, arm)]
    narrow = dict(sweep)
    if not of_arm or any(arm in name for name in others):
        return narrow
    for dim, levels in sweep.items():
        with suppress(ClaimError):  # a level that is not there is reported where the claim is read
            numbers = {c.place(dim, x, levels) for c in of_arm for d, x in c.levels if d == dim}
            if numbers and all(dim in dict(c.levels) for c in of_arm):
                narrow[dim] = tuple(levels[i] for i in sorted(numbers))
    return narrow


def _refuse_unpaired(task: Task, first: PromptSet, second: PromptSet) -> None:
    """Refuse prompts that cannot be compared row by row. Raises: DataError."""
    names = f"{first.table.name} and {second.table.name}"
    if len(first.rows) != len(second.rows):
        reason = f"they have {len(first.rows)} and {len(second.rows)}"
        raise DataError(f"{names} are compared row by row, and {reason}; give equally many rows")
    if first.digest == second.digest:
        raise DataError(f"{names} are the same prompts, so their difference is 0")
    refuse_shuffled(first, second, advice="put their rows in the same order")
    every = range(len(second.rows))
    if second.unit != first.unit or (
        second.unit != "prompt" and first.units(every) != second.units(every)
    ):
        advice = "give both rows of the same units, in the same order"
        raise DataError(f"{names} are compared row by row; {advice}")
    if task.learns_here or dataclasses.replace(task, prompts=first).learns_here:
        reason = "something is learned or chosen from them; learn it from other prompts"
        raise DataError(f"{names} are compared row by row, and {reason}")


def _twin(model: Model, study: ResolvedStudy) -> Model:
    """An untrained model of the same shape, or of each checkpoint, with the same change of its
    weights; without the change if it was frozen that way."""
    weights = model.weights if study.frozen is None else None
    return msgspec.structs.replace(model, name="", like=models.states(model)[0], weights=weights)


def _elsewhere(study: ResolvedStudy, model: Model) -> Model | None:
    """The model with the same change of its weights, or the same training, in another block; None
    if no block is named."""
    train = study.trains.get(model.name)
    part = Model(name=model.name, weights=Weights(of=train.only)) if train else model
    with suppress(AssayError):
        if part.weights and study.frozen is None:
            sizes = read_sizes(study.found(models.states(model)[0]).config)
            there = models.elsewhere(part, sizes["layers"])
            if train is None or there is None:
                return there
            return _trained_as(study, train, model, {"only": models.changes(there)[0].of})
    return None


def _untwinned(model: Model) -> Model:
    """The trained model whose untrained twin this is."""
    return msgspec.structs.replace(model, name=model.like, like="")
