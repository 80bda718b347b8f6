"""Tasks: what is handed to a worker, and what an executor is that runs such tasks somewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab.work.events import Outcome

Report = Callable[[Any], None]


@dataclass(frozen=True)
class Task:
    """A group to run: names and paths, so that it travels as JSON; `experiment` itself only stays
    in this process."""

    root: str
    group: str
    name: str
    origin: str
    device: str = "cpu"
    since: float = field(default_factory=time.time)
    """When it was handed out, in seconds of the epoch: its time includes a worker's start."""
    experiment: Experiment | None = field(default=None, compare=False)

    def to_json(self) -> str:
        """One line without the experiment; the worker finds that again by name and origin."""
        return canonical_json(
            {k: getattr(self, k) for k in ("root", "group", "name", "origin", "device", "since")}
        )


class Executor(Protocol):
    """Anything that can run tasks."""

    @property
    def width(self) -> int:
        """How many tasks run at the same time."""

    def map(self, tasks: Iterable[Task | None], report: Report) -> Generator[Outcome, None, None]:
        """The outcome of each task as it ends, in any order; `report` hears of starts and progress
        in between. Closing it stops what runs."""
