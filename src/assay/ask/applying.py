"""Applying: a read that an arm cannot have, as of attention to a repeated token where none is, is
left out of it, if no statement has it of this arm. What a statement has is refused where
it is read."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

from assay.ask import placing
from assay.ask.measure import models
from assay.ask.measure.damage import DamageTask
from assay.ask.measure.tasks import Task
from assay.core.errors import AssayError

Asked: TypeAlias = Any
"""`asked.Asked`, which calls this, so that it cannot be imported here."""


def leave_out_reads(asked: Asked) -> None:
    """Take the reads that an arm cannot have, and that no statement has of it, out of the arm and
    its controls, and remember which."""
    named = placing.named(asked.text.study)
    arms, used = {arm for arm, _ in named} | {"main"}, {name for _, name in named}
    for part in asked.parts:
        task = part.task
        if part.of or not isinstance(task, Task) or part.label not in arms:
            continue
        idle = [r for r in task.reads if (part.label, r.name) not in named and r.name in used]
        out = {r.name: why for r in idle if (why := _refusal(asked, task, r))}
        if out and len(out) < len(task.reads):
            for i, other in enumerate(asked.parts):
                if part.label in (other.label, other.of):
                    some = tuple(r for r in other.task.reads if r.name not in out)
                    changed = dataclasses.replace(other.task, reads=some)
                    asked.parts[i] = dataclasses.replace(other, task=changed)
            asked.remarks += [
                f"{name} is left out of {part.label}, where no statement needs it: {why}"
                for name, why in out.items()
            ]


def _refusal(asked: Asked, task: Task, read: Any) -> str:
    """Say why an arm cannot have a read; "" where it can, as far as that is known."""
    if isinstance(task, DamageTask):
        return ""
    try:
        folders = [asked.found(models.states(m)[0], m.bos) for m in task.models if not m.like]
    except AssayError:  # reported where what it reads is asked for
        return ""
    for folder in folders:
        for prompts in (p for p in (task.prompts, task.than) if p is not None):
            side = dataclasses.replace(task, prompts=prompts, than=None)
            try:
                asked.remarks_of(side, read, folder)
            except AssayError as e:
                return str(e)
    return ""
