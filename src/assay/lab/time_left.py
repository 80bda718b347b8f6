"""Pace: how long groups take against what was planned for them, and from that the time that is
left, as a range.

On a log scale, seconds over plan are a level of this machine, an offset of the kind of group and
the group's own noise, all normal. The time left is what is still to be done at the levels that the
groups so far tell, shared out over the workers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assay.core.compute import Range
from assay.lab.marks import Marks

PLAN, KIND, NOISE = 0.4, 0.2, 0.2
"""Standard deviations of log seconds: of a machine from its plan, of a kind from the machine, of a
group from its kind. What is measured replaces NOISE as it comes."""
BENCHED = 0.2
"""In place of PLAN where `assay bench` compared this machine with that of the record."""
WORTH = 2.0
"""Groups that NOISE counts as."""
FIRST = 0.25
"""What a group counts that was begun before any was stored: it also builds what all share."""
STAYS = 0.5
"""The part of the groups' variance that many groups do not average out: other programs come and go
for longer than a group."""
LEAST = 0.05
"""The share of its time that a group has left as long as it is not stored: measuring follows the
last step."""
BOUNDS = 1.2816
"""Standard deviations from the middle of a range to its bounds, so that it holds four fifths of a
normal number."""


@dataclass(frozen=True)
class Pending:
    """A group that is not stored: what it was planned to cost, None where nothing is known, and its
    kind, which shares a pace."""

    name: str
    kind: tuple[str, ...]
    """The experiment and its arms."""
    cost: float | None
    unit: float
    """A number that groups of one kind cost in proportion to, such as their runs: what counts where
    nothing was planned."""
    after: frozenset[str] = frozenset()
    """The groups that have to be stored before it can begin."""
    resumed: bool = False
    """Whether it goes on from a checkpoint: its time is then not that of its kind."""


@dataclass(frozen=True)
class _Seen:
    """What a group tells of its kind: the log of its seconds over its cost, or over its unit, and
    how much that counts."""

    kind: tuple[str, ...]
    log: float
    counts: float
    planned: bool


@dataclass(frozen=True)
class _Level:
    """A normal number."""

    mean: float
    variance: float

    def updated(self, observations: Sequence[_Seen], noise: float) -> _Level:
        """What is known of it after these, each with this variance over what it counts."""
        weights = [1 / self.variance, *(observation.counts / noise for observation in observations)]
        mean = sum(
            w * x
            for w, x in zip(
                weights,
                (self.mean, *(observation.log for observation in observations)),
                strict=True,
            )
        ) / sum(weights)
        return _Level(mean, 1 / sum(weights))


class Pace:
    """What the groups of one command took so far."""

    def __init__(self, width: int, clock: Callable[[], float] = time.monotonic, plan: float = PLAN):
        self.closing = 0.0
        """Seconds that judging what is stored took when it was last tried: the command ends with
        that."""
        self.width = width
        """How many groups are worked on at the same time."""
        self._clock, self._plan = clock, plan
        self._began: dict[str, float] = {}
        self._marks: dict[str, Marks] = {}
        self._first: set[str] = set()
        self._seen: list[_Seen] = []
        self._whole: dict[tuple[str, ...], tuple[Marks, float]] = {}

    def began(self, name: str) -> None:
        """Note that a group is being worked on."""
        if name not in self._began:
            self._began[name] = self._clock()
            if not self._seen:
                self._first.add(name)

    def reached(self, name: str, count: int, total: int, unit: str) -> None:
        """Note how far a group is."""
        if name in self._began:
            self._marks.setdefault(name, Marks()).note(
                count, total, unit, self._clock() - self._began[name]
            )

    def stored(self, group: Pending) -> None:
        """Note that a group is stored."""
        start, marks = self._began.pop(group.name, None), self._marks.pop(group.name, Marks())
        if start is not None and not group.resumed:
            took = max(self._clock() - start, 1e-3)
            self._seen.append(self._told(group, took, 1.0))
            self._whole[group.kind] = marks, took

    def gone(self, name: str) -> None:
        """Forget a group that crashed, or that another process has."""
        self._began.pop(name, None)
        self._marks.pop(name, None)

    def left(self, pending: Sequence[Pending]) -> Range | None:
        """Seconds until all of these are stored and judged, a range that should hold the truth four
        times out of five.

        None before the first group is stored, or while one of unknown cost is of a new kind.
        """
        if not self._seen or not pending:
            return None
        kinds: dict[tuple[str, ...], list[_Seen]] = {group.kind: [] for group in pending}
        observations = [*self._seen, *self._running(pending)]
        for observation in observations:
            kinds.setdefault(observation.kind, []).append(observation)
        if any(not group.cost and not kinds[group.kind] for group in pending):
            return None
        machine, noise = _machine(
            [observation for observation in observations if observation.planned], self._plan
        )
        planned, unplanned = _Level(machine.mean, machine.variance + KIND**2), _Level(0.0, math.inf)
        known = {group.kind: bool(group.cost) for group in pending}
        levels = {
            kind: (planned if known[kind] else unplanned).updated(kinds[kind], noise)
            for kind in known
        }
        group_levels = {group.name: levels[group.kind] for group in pending}
        rest = {
            group.name: self._rest(
                group, (group.cost or group.unit) * math.exp(group_levels[group.name].mean)
            )
            for group in pending
        }
        whole = sum(rest.values())
        shared = (
            sum(math.sqrt(group_levels[name].variance) * seconds for name, seconds in rest.items())
            / whole
        )
        own_variance = noise * sum(seconds**2 for seconds in rest.values()) / whole**2
        factor = math.exp(BOUNDS * math.sqrt(shared**2 + own_variance + STAYS * noise))
        seconds = _shared_out(pending, rest, self._began, self.width)
        return Range(seconds / factor + self.closing, seconds * factor + 2 * self.closing)

    def _told(self, group: Pending, seconds: float, counts: float) -> _Seen:
        part = FIRST if group.name in self._first else 1.0
        return _Seen(
            group.kind,
            math.log(seconds / (group.cost or group.unit)),
            counts * part,
            bool(group.cost),
        )

    def _running(self, pending: Sequence[Pending]) -> list[_Seen]:
        """What groups tell that are under way: each counts as the share of it that is done."""
        observations = []
        for group in pending:
            share, elapsed = self._share(group)
            if share >= LEAST and elapsed and not group.resumed:
                observations.append(self._told(group, elapsed / share, share))
        return observations

    def _share(self, group: Pending) -> tuple[float, float]:
        """The share of its time that a group had behind it when it last told how far it is, and
        when that was; 0 if unknown."""
        marks, last = self._marks.get(group.name), self._whole.get(group.kind)
        if marks is None or marks.latest is None or last is None:
            return 0.0, 0.0
        stage, count, elapsed = marks.latest
        reference_seconds = last[0].when(stage, count)
        return (0.0, 0.0) if reference_seconds is None else (reference_seconds / last[1], elapsed)

    def _rest(self, group: Pending, seconds: float) -> float:
        """Seconds that a group has left which takes so many in all."""
        if group.name not in self._began:
            return seconds
        share, elapsed = self._share(group)
        spent = self._clock() - self._began[group.name] - elapsed
        return max(LEAST * seconds, (1 - share) * seconds - spent)


def _machine(observations: Sequence[_Seen], plan: float) -> tuple[_Level, float]:
    """How this machine compares with the plans, and the variance of groups around that."""
    level, noise = _Level(0.0, plan**2), NOISE**2
    if not observations:
        return level, noise
    counts = sum(observation.counts for observation in observations)
    mean = sum(observation.counts * observation.log for observation in observations) / counts
    noise = (
        WORTH * noise
        + sum(observation.counts * (observation.log - mean) ** 2 for observation in observations)
    ) / (WORTH + counts)
    return level.updated(observations, noise), noise


def _shared_out(
    pending: Sequence[Pending], rest: dict[str, float], running: dict[str, float], width: int
) -> float:
    """Seconds until all groups are done: those that run first, then in their order, each when a
    worker is free and its parents are done."""
    ends = {group.name: rest[group.name] for group in pending if group.name in running}
    free = sorted([*ends.values(), *[0.0] * (width - len(ends))])
    waiting = [group for group in pending if group.name not in running]
    names = {group.name for group in pending}
    while waiting:
        current_time = free.pop(0)
        ready = (
            g
            for g in waiting
            if all(ends.get(p, math.inf) <= current_time for p in g.after & names)
        )
        group = next(ready, None)
        later = [end for end in ends.values() if end > current_time]
        if group is None and later:
            free.append(min(later))  # this worker waits for a parent
        else:
            group = group or waiting[0]
            waiting.remove(group)
            ends[group.name] = current_time + rest[group.name]
            free.append(ends[group.name])
        free.sort()
    return max(ends.values())
