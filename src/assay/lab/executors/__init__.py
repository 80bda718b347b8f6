"""Executors: run tasks and hand back how each ended; a file in this folder is found by being there.

An executor has one method, `map(tasks, report)`. It draws a task whenever it has room, so the order
may depend on what is finished by then; drawing None means that nothing is ready yet.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from assay.lab.away.fleets import Fleet, Resources
from assay.lab.away.fleets.ray import Ray
from assay.lab.away.fleets.sbatch import Request
from assay.lab.away.fleets.slurm import Slurm
from assay.lab.away.requests import Terms
from assay.lab.executors.inline import Inline
from assay.lab.executors.none import Away
from assay.lab.executors.workers import Workers
from assay.lab.work.events import Outcome
from assay.lab.work.worker import Report, Task

__all__ = ["Away", "Executor", "Inline", "Site", "Workers", "known"]


class Executor(Protocol):
    """Anything that can run tasks."""

    @property
    def width(self) -> int:
        """How many tasks run at the same time."""

    def map(self, tasks: Iterable[Task | None], report: Report) -> Generator[Outcome, None, None]:
        """The outcome of each task as it ends, in any order; `report` hears of starts and progress
        in between. Closing it stops what runs."""


@cache
def known() -> Mapping[str, Callable[..., Executor]]:
    """Find the executors of this folder by their files' names: each file's EXECUTOR, which is made
    with `threads=`."""
    files = {
        file.name: import_module(f"{__name__}.{file.name}")
        for file in pkgutil.iter_modules(__path__)
    }
    return MappingProxyType(
        {name: file.EXECUTOR for name, file in files.items() if hasattr(file, "EXECUTOR")}
    )


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where runs are trained, as plain values, so that it travels to the process of a job."""

    executor: str = "workers"
    """A name of `known()`; with `on` that of no consequence."""
    threads: int = 1
    """Of each worker, or of this process when inline."""
    device: str = "cpu"
    on: str = ""
    """slurm, or where a Ray cluster is, as `assay run --on` takes it; "": no engine is asked for
    workers."""
    slurm: Request = field(default_factory=Request)
    workers: int = 0
    """With Ray, at most; 0: as many as its nodes have room for."""
    resources: Resources = field(default_factory=Resources)
    """With Ray, of each worker."""

    @property
    def away(self) -> bool:
        """Whether processes train that this one does not start itself."""
        return bool(self.on) or self.executor == "none"

    def fleet(self, root: Path) -> Fleet | None:
        """What starts workers elsewhere, where anything does. Raises: FleetError."""
        if self.on == "slurm":
            return Slurm(root, self.slurm)
        return Ray(root, self.on, self.workers, self.resources) if self.on else None

    def make(self, root: Path, terms: Terms = Terms()) -> Executor:  # noqa: B008 — frozen
        """Make what runs the tasks of a store here or there, on these terms. Raises: FleetError."""
        if self.away:
            return Away(self.fleet(root), self.threads, terms)
        return known()[self.executor](threads=self.threads)
