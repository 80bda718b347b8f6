"""Rehearsal: before a study that takes long, every direction, control and slot of its arms is made
on two prompts, so that what a run would refuse is refused in its first seconds."""

from __future__ import annotations

from collections.abc import Collection

from assay.ask import costs, trained
from assay.ask.measure import measuring, models
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.tasks import Task
from assay.ask.model_study import ModelStudy
from assay.ask.part import Part
from assay.core.errors import AssayError, DataError
from assay.lab.plan.plan import ROOT

LONG = 60.0
"""CPU-seconds of a study from which on it is rehearsed; a shorter one is soon refused anyway."""


def rehearse(asked: ModelStudy, arms: Collection[str], seeds: Collection[int], device: str) -> None:
    """Measure two prompts in each of these arms whose model is here, where all of them take long.
    Raises: ExperimentError, with the table that leads to a refusal."""
    parts = [p for p in asked.parts if p.label in arms]
    expected = [costs.seconds(asked, p, len(seeds)) or 0.0 for p in parts]
    if not seeds or len(seeds) * sum(expected) < LONG:
        return
    for part in parts:
        if isinstance(part.task, Task) and _is_rehearsed(asked, part):
            task, study = part.task, asked.text.study
            names = [t.name for t in study.intervene]
            table = task.intervention
            keys = ("intervene", names.index(table.name)) if table else ("model", 0)
            try:
                measuring.rehearse(task, min(seeds), asked.folder, device, ROOT.get())
            except DataError as e:
                if part.control is None:  # a control that cannot be made is left out, with a note
                    raise asked.text.error(keys, e) from e
            except AssayError as e:
                raise asked.text.error(keys, e) from e
    models.opened.cache_clear()  # workers open it for themselves


def _is_rehearsed(asked: ModelStudy, part: Part) -> bool:
    """Whether an arm needs nothing that is trained first, and is no control that draws a model or
    prompts anew."""
    task = part.task
    if not isinstance(task, Task) or isinstance(task, DamageTask) or trained.used(asked, task):
        return False
    if part.of and task.new_each_seed:
        return False
    names = {name for m in task.models for name in models.states(m)}
    return names.isdisjoint(asked.trains)
