"""Applying: a read that an arm cannot have, as of attention to a repeated token where none is, is
left out of it, if no statement has it of this arm. What a statement has is refused where
it is read."""

from __future__ import annotations

import dataclasses

from assay.ask import checks, placing
from assay.ask.measure import models
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.tasks import Task
from assay.ask.resolved import ResolvedStudy
from assay.ask.tables import Read
from assay.core.errors import AssayError


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
                f"{name} is left out of {part.label}, where no statement needs it: {why}"
                for name, why in out.items()
            ]


def _refusal(study: ResolvedStudy, task: Task, read: Read) -> str:
    """Say why an arm cannot have a read; "" where it can, as far as that is known."""
    if isinstance(task, DamageTask):
        return ""
    try:
        folders = [study.found(models.states(m)[0], m.bos) for m in task.models if not m.like]
    except AssayError:  # reported where what it reads is asked for
        return ""
    for folder in folders:
        for prompts in (p for p in (task.prompts, task.than) if p is not None):
            side = dataclasses.replace(task, prompts=prompts, than=None)
            try:
                checks.remarks_of(study, side, read, folder)
            except AssayError as e:
                return str(e)
    return ""
