"""Checks: what can be known to be wrong of an arm before a model is opened, and what its author
should know. A read that an arm cannot have, as of attention to a repeated token where
none is, is left out of it, if no statement has it of this arm."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial

from assay.ask import placing
from assay.ask.measure import (
    dictionaries,
    dry,
    measuring,
    models,
    own_code,
    probe_tasks,
    prompts,
    saes,
    training,
)
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.sae_arms import SaeTask
from assay.ask.measure.tasks import Task
from assay.ask.part import Part
from assay.ask.resolved import ResolvedStudy
from assay.ask.tables import Read
from assay.core.errors import AssayError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.fitting import fitted
from assay.lab.plan.plan import ROOT
from assay.subjects.folder import ModelFolder, otherwise


def check(study: ResolvedStudy, part: Part) -> None:
    """Refuse what can be known to be wrong of an arm before a model is opened; remember what
    the author should know. Raises: ExperimentError, with the place and the model."""
    if not isinstance(part.task, SaeTask):
        words = [dry.split_in_words(part.task), dry.few_in_words(part.task)]
        study.remarks += [w for w in words if w not in ("", *study.remarks)]
    for model in part.task.models:
        for name in models.states(model):
            try:
                folder = study.found(name, model.bos)
            except AssayError:  # told where what it reads is asked for
                if name in study.trains and not study.trains[name].of:
                    _check_places(study, part, training.shell(study.located(study.trains[name])))
                continue
            who = f"model {model.label or name}: " if len(study.models) > 1 else ""
            remarks = _check(study, part, folder, who)
            study.remarks += [r for r in remarks if r not in study.remarks]


def leave_out_reads(study: ResolvedStudy) -> None:
    """Take the reads that an arm cannot have, and that no statement has of it, out of the arm and
    its controls, and remember which."""
    named = placing.named(study.text.study)
    arms, used = {arm for arm, _ in named} | {"main"}, {name for _, name in named}
    for part in study.parts:
        task = part.task
        if part.of or not isinstance(task, Task) or part.label not in arms:
            continue
        idle = [r for r in task.reads if (part.label, r.name) not in named and r.name in used]
        out = {r.name: why for r in idle if (why := _refusal(study, task, r))}
        if out and len(out) < len(task.reads):
            for i, other in enumerate(study.parts):
                if part.label in (other.label, other.of):
                    some = tuple(r for r in other.task.reads if r.name not in out)
                    changed = dataclasses.replace(other.task, reads=some)
                    study.parts[i] = dataclasses.replace(other, task=changed)
            study.remarks += [
                f"{name} is left out of {part.label}, where no claim needs it: {why}"
                for name, why in out.items()
            ]


def _refusal(study: ResolvedStudy, task: Task, read: Read) -> str:
    """Say why an arm cannot have a read; "" where it can, as far as that is known."""
    if isinstance(task, DamageTask):
        return ""
    sides = [p for p in (task.prompts, task.than) if p is not None]
    for model in (m for m in task.models if not m.like):
        with suppress(AssayError):  # reported where what it reads is asked for
            folder = study.found(models.states(model)[0], model.bos)
            for prompts in sides:
                side = dataclasses.replace(task, prompts=prompts, than=None)
                try:
                    remarks_of(study, side, read, folder)
                except AssayError as e:
                    return str(e)
    return ""


def _check_places(study: ResolvedStudy, part: Part, folder: ModelFolder) -> None:
    """Refuse sites and heads that a model from nothing will not have; it has no tokens yet."""
    tables, task = study.text.study, part.task
    if isinstance(task, SaeTask):
        _check(study, part, folder, "")
    elif isinstance(task, ProbeTask):
        names = [p.name for p in tables.probe]
        with _located_in(study, "", "probe", names.index(task.table.name)):
            probe_tasks.check_sites(task, folder)
            if task.change:
                dry.check_places(task.change, folder)
    else:
        for read in task.reads:
            with _located_in(study, "", "read", tables.read.index(read)):
                dry.check_read(read, folder)
        if task.intervention is not None:
            i = [t.name for t in tables.intervene].index(task.intervention.name)
            with _located_in(study, "", "intervene", i):
                dry.check_places(task, folder)


def _check(study: ResolvedStudy, part: Part, folder: ModelFolder, who: str) -> list[str]:
    tables, task = study.text.study, part.task
    remarks: list[str] = []
    if isinstance(task, SaeTask):
        with _located_in(study, who, "train", study.training_index(task.table.name), "site"):
            saes.check(task.table, folder)
        return []
    if isinstance(task, Task) and not task.model.like:
        with _located_in(study, who, "model", 0):
            models.check_weights(task.model, folder)
    remarks += dry.taken_in_words(task, folder)
    if isinstance(task, Task) and task.than is not None:
        side = dataclasses.replace(task, prompts=task.than, than=None)
        remarks += _check(study, dataclasses.replace(part, task=side), folder, who)
    names = [t.name for t in tables.prompts]
    with _located_in(study, who, "prompts", names.index(task.prompts.table.name)):
        at = (folder, task.prompts.table.name, *task.rows)
        asked = (*at, *(r.name for r in task.reads))
        rows = study.once(asked, partial(dry.prompts_of, task, folder))
    if isinstance(task, ProbeTask):
        names = [t.name for t in tables.probe]
        with _located_in(study, who, "probe", names.index(task.table.name)):
            probe_tasks.check_sites(task, folder)
            if not part.control:
                probe_tasks.check_prompts(task, folder)
            if task.change and not part.control:
                opened = cache(partial(_opened, study, folder))
                code = partial(own_code.load, folder=study.folder)
                dry.check_intervention(task.change, rows, folder, opened, code)
        return probe_tasks.remarks(task)
    if part.control is None:
        remarks += [*prompts.remarks(task.prompts), *dry.first_tokens(task, rows)]
        remarks += dry.means_in_words(task, rows)
        remarks += dry.special_tokens(task, folder)
        remarks += dry.ends_in_words(task, folder)
        texts = [*dict.fromkeys(row.text for row in task.prompts.rows)]
        remarks += [said] if (said := otherwise(folder, texts)) else []
    for read in task.reads if part.control is None else ():
        with _located_in(study, who, "read", tables.read.index(read)):
            remarks += remarks_of(study, task, read, folder)
    opened = cache(partial(_opened, study, folder))
    code = partial(own_code.load, folder=study.folder)
    if task.intervention is not None:
        i = [t.name for t in tables.intervene].index(task.intervention.name)
        where = next((k for k in ("heads", "site") if getattr(task.intervention, k)), "name")
        with _located_in(study, who, "intervene", i, where):
            check = partial(dry.check_intervention, task, rows, folder, opened, code)
            study.once((*at, "intervene", task.intervention.name), check)  # as its controls have it
            remarks += dry.clipped_in_words(task, folder)
    return remarks


def remarks_of(study: ResolvedStudy, task: Task, read: Read, folder: ModelFolder) -> list[str]:
    """What to know of a read on the prompts of a task. Raises: AssayError where it cannot be
    read."""

    def ready() -> list[str]:
        opened = cache(partial(_opened, study, folder))
        code = partial(own_code.load, folder=study.folder)
        rows = dry.prompts_of(task, folder)
        dry.check_projection(read, task, folder)
        return [*measuring.remarks(task, read, rows, opened, code)]

    key = (folder, task.prompts.table.name, *task.rows, "read", read.name)
    found: list[str] = study.once(key, ready)
    return found


def _opened(study: ResolvedStudy, folder: ModelFolder, name: str) -> Dictionary:
    """A dictionary by its name; of one that the study trains as much as is known before."""
    if name in study.saes:
        return saes.blank(study.saes[name], folder)
    return fitted(name, dictionaries.opened(name, study.folder, ROOT.get()), folder)


@contextmanager
def _located_in(study: ResolvedStudy, who: str, *keys: str | int) -> Iterator[None]:
    """Tell where in the file that stands which leads to a refusal, and of which model it
    is."""
    try:
        yield
    except AssayError as e:
        raise study.text.error(keys, f"{who}{e}") from e
