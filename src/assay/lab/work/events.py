"""Events: what is handed to a worker, and what the lab reports while it works: small values, in the
order in which things happen.

Planned → (Started, Progress …, Saved or Failed) for each group → Finished.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from assay.core.compute import Range
from assay.core.experiment import Experiment
from assay.core.spec import canonical_json
from assay.lab.judge.result import Result
from assay.lab.plan.plan import Plan

if TYPE_CHECKING:
    from assay.lab.store.groups import RunGroup


@dataclass(frozen=True)
class Planned:
    """What is cached and what will run; nothing has been done yet."""

    plan: Plan
    groups: int
    """How many groups the missing runs make."""


@dataclass(frozen=True)
class Started:
    """A worker is at a group, which no other process is."""

    group: str
    arms: tuple[str, ...]
    runs: int
    seeds: str = ""
    """Of which seeds they are, in words: groups of the same arms differ in nothing else."""

    @classmethod
    def describe(cls, group: RunGroup) -> Self:
        """Say it of this group."""
        return cls(group.name, tuple(group.arms), len(group.members), group.seeds)


@dataclass(frozen=True)
class Progress:
    """How far a group is, in its own units (steps, documents), and its latest numbers."""

    group: str
    arms: tuple[str, ...]
    done: int
    total: int
    numbers: Mapping[str, float] = field(default_factory=dict)
    eta: Range | None = None
    """Seconds until everything planned is done; None while that is not known."""
    unit: str = "steps"
    """What is counted."""
    seeds: str = ""
    """As of what started."""


@dataclass(frozen=True)
class Saved:
    """A group's runs are stored."""

    group: str
    arms: tuple[str, ...]
    done: int
    """Runs stored so far, cached ones included."""
    total: int
    eta: Range | None = None
    """Seconds until everything planned is done; None while that is not known."""


@dataclass(frozen=True)
class Said:
    """A line that an experiment or a library printed."""

    text: str


BEFORE = "before the runs, "
"""How a line begins that says how far a rehearsal is; any other stays on the screen."""


@dataclass(frozen=True)
class Waiting:
    """A line that says what is waited for, at each look, while nothing runs yet."""

    text: str


@dataclass(frozen=True)
class Failed:
    """A group crashed; the others go on."""

    group: str
    arms: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Finished:
    """Everything planned is stored and judged."""

    result: Result


@dataclass(frozen=True)
class Outcome:
    """How a task ended: its runs are stored; another process is at it; or what it died of."""

    group: str
    status: Literal["done", "busy", "failed"]
    stored: int = 0
    error: str = ""
    """Name of the exception class."""
    text: str = ""


OnEvent = Callable[[Any], None]
Event = Planned | Started | Progress | Saved | Said | Waiting | Failed | Finished


def one_at_a_time(on_event: OnEvent) -> OnEvent:
    """Let no two threads call a listener at once: events come from the readers of workers and from
    judging."""
    lock = threading.RLock()

    def tell(event: Any) -> None:
        with lock:
            on_event(event)

    return tell


def to_line(message: Started | Progress | Outcome) -> str:
    """One line of JSON, for the pipe between a worker and its parent."""
    return canonical_json({"kind": type(message).__name__, **asdict(message)})


def from_line(line: str) -> Started | Progress | Outcome:
    """The message of `to_line`."""
    data: dict[str, Any] = json.loads(line)
    kind = data.pop("kind")
    if kind == "Outcome":
        return Outcome(**data)
    return {"Started": Started, "Progress": Progress}[kind](**{**data, "arms": tuple(data["arms"])})


Report = Callable[[Any], None]


class Relay:
    """Reports that a group started, once however often it is begun again, and how far it is."""

    def __init__(self, report: Report):
        self._report = report
        self._begun = set[str]()

    def begin(self, group: RunGroup) -> None:
        """Report that a group started."""
        if group.name not in self._begun:
            self._begun.add(group.name)
            self._report(Started.describe(group))

    def line(self, line: str, groups: Mapping[str, RunGroup]) -> None:
        """Report what a line of `to_line` says of one of these groups; any other says nothing."""
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            event = from_line(line)
            if (group := groups.get(event.group)) is not None:
                self.begin(group)
                if isinstance(event, Progress):
                    self._report(event)


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


def batch(arms: Sequence[str], seeds: str) -> str:
    """Name what trains together so that no two batches have the same name: "main, relu and 3 more
    (seed 1001)"."""
    names = ", ".join(arms) if len(arms) <= 3 else f"{', '.join(arms[:2])} and {len(arms) - 2} more"
    return f"{names} ({seeds})" if seeds else names
