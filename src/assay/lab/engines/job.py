"""Job: a group as a job of SLURM's works on it; submitit takes it to the node."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.heavy import torch
from assay.lab.store import groups
from assay.lab.store.atomic import write
from assay.lab.store.folder import discard
from assay.lab.store.store import Store
from assay.lab.work.events import Task, to_line
from assay.lab.work.worker import run_group

APPEARS = 60.0
"""Seconds until a folder that machines share shows what another one wrote, at the latest."""
AGAIN = 3.0
"""Seconds until a group on which another command works is tried again."""


class Job:
    """A function that submitit begins again when a job is preempted or out of time."""

    def __init__(self) -> None:
        self._leaving = False

    def __call__(self, line: str, threads: int) -> str:
        """How the group of this task ended, as a line."""
        task = replace(Task(**json.loads(line)), since=time.time())
        folder, last = Path(task.root, "groups", task.group), 0.0

        def report(event: Any) -> None:
            nonlocal last
            if time.monotonic() - last >= 1:
                last = time.monotonic()
                with contextlib.suppress(OSError):
                    write(folder / "progress.json", to_line(event).encode())

        torch.set_num_threads(threads)
        until = time.monotonic() + APPEARS
        while not _appeared(task) and time.monotonic() < until:
            time.sleep(1)
        while (outcome := run_group(task, report)).status == "busy":
            time.sleep(AGAIN)
        if self._leaving:  # it ended since submitit ends this process, to begin it again
            discard(folder / "failed.json")
            sys.exit(1)
        return to_line(outcome)

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit begins again: the same, which resumes from its own checkpoint."""
        from submitit.helpers import DelayedSubmission

        self._leaving = True
        return DelayedSubmission(Job(), *arguments)


def _appeared(task: Task) -> bool:
    """Whether this node sees the group, and the runs that it builds on."""
    store = Store(task.root)
    group = groups.read(store.root / "groups" / task.group)
    return group is not None and all(store.get(p, group.experiment) for p in group.parents)
