"""Schedule: which group is handed out next, and how long what is left will take.

First seeds first, so that early verdicts speak of whole seeds; among these the longest chain first;
parents before those that build on them; groups that another process holds again later, and waited
for only at the end.

Time is told at the pace of the groups that were stored so far. Groups of one kind, an experiment's
arms, are taken to need their planned seconds times one factor: that which those of their kind that
are stored needed, or those of all kinds. The work is shared by the workers, and lasts at least as
long as its longest chain of groups that wait for another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from types import MappingProxyType

from assay.core.compute import Range
from assay.core.experiment import Experiment
from assay.lab.store.store import Store
from assay.lab.work.events import Outcome
from assay.lab.work.groups import RunGroup
from assay.lab.work.worker import Task

_BUSY = 0.5  # seconds until a group that another process holds is tried again
Kind = tuple[str, ...]
NOISE, KIND, PRIOR = 0.3, 0.4, 12.0
"""Standard deviations of log seconds: of groups of one kind, which what is measured replaces as it
comes and for which NOISE counts as PRIOR groups; and of a kind of which none is stored."""
FIRST = 0.25
"""What a group counts that was begun before any was stored: it also builds what all share."""
STAYS = 0.5
"""The part of the groups' variance that many groups do not average out: other programs come and go
for longer than a group."""
LEAST = 0.05
"""The share of its time that a group has left as long as it is not stored."""
BOUNDS = 1.2816
"""Standard deviations from the middle of a range to its bounds, so that it holds four fifths of a
normal number."""


@dataclass(frozen=True)
class Amount:
    """What groups of one kind, or one of them, have to do: the planned CPU-seconds, None where
    nothing was planned, and a number that costs go with then, such as runs."""

    kind: Kind
    cost: float | None
    unit: float

    @property
    def planned(self) -> float:
        """What its seconds are in proportion to."""
        return max(1e-9, self.unit if self.cost is None else self.cost)


@dataclass
class _Stored:
    """What the stored groups of one kind took."""

    groups: float = 0.0
    seconds: float = 0.0
    amount: float = 0.0
    logs: float = 0.0
    squares: float = 0.0
    planned: bool = True

    @property
    def factor(self) -> float:
        return self.seconds / self.amount

    @property
    def scatter(self) -> float:
        """The sum of squared deviations of log factors from their mean."""
        return max(0.0, self.squares - self.logs**2 / self.groups)


class Pace:
    """What the groups of one command took so far."""

    def __init__(self, width: int, clock: Callable[[], float] = time.monotonic):
        self.closing = 0.0
        """Seconds that judging what is stored took when it was last tried: the command ends with
        that."""
        self.width = width
        """How many groups are worked on at the same time."""
        self._clock = clock
        self._began: dict[str, tuple[Amount, float, float]] = {}
        self._stored: dict[Kind, _Stored] = {}

    def began(self, name: str, group: Amount) -> None:
        """Note that a group is being worked on."""
        counts = 1.0 if self._stored else FIRST
        self._began.setdefault(name, (group, self._clock(), counts))

    def stored(self, name: str, resumed: bool = False) -> None:
        """Note that a group is stored; one that went on from a checkpoint tells nothing of its
        kind."""
        group, start, counts = self._began.pop(name, (None, 0.0, 0.0))
        if group is None or resumed:
            return
        took = max(self._clock() - start, 1e-3)
        known = self._stored.setdefault(group.kind, _Stored(planned=group.cost is not None))
        log = math.log(took / group.planned)
        known.groups += counts
        known.seconds += counts * took
        known.amount += counts * group.planned
        known.logs += counts * log
        known.squares += counts * log**2

    def gone(self, name: str) -> None:
        """Forget a group that crashed, or that another process has."""
        self._began.pop(name, None)

    def left(self, rest: Iterable[Amount], chain: float = 0.0) -> Range | None:
        """Give the seconds until all of this is stored and judged, as a range that should hold the
        truth four times out of five.

        None before the first group is stored, or while nothing is known of a kind.

        Args:
            rest: what is not stored, those that are being worked on included; a kind a time.
            chain: the share of it that cannot be done side by side, as each waits for another.
        """
        stored = self._stored.values()
        planned = [s for s in stored if s.planned]
        whole = sum(s.seconds for s in planned) / sum(s.amount for s in planned) if planned else 0.0
        variance = PRIOR * NOISE**2 + sum(s.scatter for s in stored)
        variance /= PRIOR + sum(s.groups for s in stored)
        factors, seconds, spread = {}, 0.0, 0.0
        for work in rest:
            known = self._stored.get(work.kind)
            if known is None and (work.cost is None or not planned):
                return None
            factors[work.kind] = factor = whole if known is None else known.factor
            apart = KIND**2 if known is None else variance / known.groups
            seconds += factor * work.planned
            spread += factor * work.planned * math.sqrt(apart + STAYS * variance)
        if not seconds:
            return None
        now, relative = self._clock(), spread / seconds
        for work, start, _ in self._began.values():
            expected = factors.get(work.kind, 0.0) * work.planned
            seconds -= min(now - start, (1 - LEAST) * expected)
        seconds *= max(1 / self.width, chain)
        factor = math.exp(BOUNDS * relative)
        return Range(seconds / factor + self.closing, seconds * factor + 2 * self.closing)


class Schedule:
    """The groups of one command on their way to being stored; `tasks` hands them out, `settle`
    takes the outcomes. Each costs the same however many there are."""

    def __init__(
        self,
        store: Store,
        experiment: Experiment,
        groups: Sequence[RunGroup],
        per_run: Mapping[str, float],
        device: str,
    ):
        self.groups = {g.name: g for g in groups}
        self._store, self._experiment, self._device = store, experiment, device
        self._per_run = per_run
        home = {key: g.name for g in groups for key in g.keys}
        self._parents = {
            g.name: {home[key] for key in g.parents if key in home} - {g.name} for g in groups
        }
        self._children: dict[str, list[str]] = {name: [] for name in self.groups}
        for name, parents in self._parents.items():
            for parent in parents:
                self._children[parent].append(name)
        self._reach: dict[str, float] = {}
        for name in self.groups:
            self._measure_chain(name)
        self._chains = sorted((reach, name) for name, reach in self._reach.items())
        self._given_up = False
        self._ready: list[tuple[int, float, str]] = []
        self._again: list[tuple[float, str]] = []
        self._open = set(self.groups)
        self._running: set[str] = set()
        self._resumed = {g.name for g in groups if g.step}
        self._left: dict[Kind, Amount] = {}
        self._cost_left = 0.0
        for name, parents in self._parents.items():
            self._count(name, 1)
            if not parents:
                self._offer(name)
        self.failed: list[Outcome] = []
        self.done: list[str] = []
        self.runs_done = 0

    def tasks(self) -> Iterator[Task | None]:
        """The next task, or None while all that is left waits for another; ends when nothing is
        left."""
        while self._open:
            name = self._next()
            if name is None:
                yield None
                continue
            self._running.add(name)
            root, e = str(self._store.root.absolute()), self._experiment
            yield Task(root, name, e.name, e.origin, self._device, experiment=e)

    def settle(self, outcome: Outcome) -> None:
        """Record how this task ended. What builds on a failed group is given up."""
        name = outcome.group
        self._running.discard(name)
        if outcome.status == "busy":
            if self._given_up:
                self._close(name)
            else:
                heappush(self._again, (time.monotonic() + _BUSY, name))
            return
        self._close(name)
        if outcome.status == "done":
            self.done.append(name)
            self.runs_done += len(self.groups[name].members)
            for child in self._children[name]:
                self._parents[child].discard(name)
                if not self._parents[child] and child in self._open:
                    self._offer(child)
        else:
            self.failed.append(outcome)
            lost = list(self._children[name])
            while lost:
                child = lost.pop()
                if child in self._open:
                    self._close(child)
                    lost += self._children[child]

    def give_up(self) -> None:
        """Hand out no other group."""
        for name in self._open - self._running:
            self._close(name)
        self._given_up = True

    @property
    def over(self) -> bool:
        """True when nothing is left that would be waited for."""
        return self._given_up or not self._open

    def left(self) -> float:
        """The cost of everything that is not stored or given up, in the units of `per_run`."""
        return self._cost_left if self._open else 0.0

    def cost(self, name: str) -> float:
        """The cost of one group, in the units of `per_run`."""
        arms = self.groups[name].arms
        return sum(self._per_run.get(arm, 1.0) * len(members) for arm, members in arms.items())

    def amounts(self) -> list[Amount]:
        """What is not stored or given up, a kind each."""
        return [amount for amount in self._left.values() if amount.unit]

    def chain(self, done: Mapping[str, float] = MappingProxyType({})) -> float:
        """The cost of what is left of the longest chain of groups, of which each waits for the one
        before; of groups that are being worked on, this share is done."""
        while self._chains and self._chains[-1][1] not in self._open:
            self._chains.pop()
        longest = 0.0
        for reach, name in reversed(self._chains):
            if reach <= longest:
                break
            if name in self._open:
                longest = max(longest, reach - self.cost(name) * done.get(name, 0.0))
        return longest

    def amount(self, name: str) -> Amount:
        """What one group has to do: its cost where it was planned, and its runs."""
        group = self.groups[name]
        known = all(arm in self._per_run for arm in group.arms)
        return Amount(
            (self._experiment.name, *group.arms),
            self.cost(name) if known else None,
            len(group.members),
        )

    def resumed(self, name: str) -> bool:
        """Tell whether a group goes on from a checkpoint."""
        return name in self._resumed

    def _measure_chain(self, name: str) -> float:
        """Note the cost of a group and of the dearest chain that has to wait for it."""
        if name not in self._reach:
            after = (self._measure_chain(child) for child in self._children[name])
            self._reach[name] = self.cost(name) + max(after, default=0.0)
        return self._reach[name]

    def _offer(self, name: str) -> None:
        seed = min(int(m.spec["seed"]) for m in self.groups[name].members)
        heappush(self._ready, (seed, -self._reach[name], name))

    def _next(self) -> str | None:
        """The next group that can be handed out now."""
        while self._ready:
            name = heappop(self._ready)[2]
            if name in self._open:
                return name
        while self._again and self._again[0][0] <= time.monotonic():
            name = heappop(self._again)[1]
            if name in self._open:
                return name
        return None

    def _close(self, name: str) -> None:
        if name in self._open:
            self._open.discard(name)
            self._count(name, -1)

    def _count(self, name: str, sign: int) -> None:
        """Add a group to what is left, or take it away."""
        self._cost_left += sign * self.cost(name)
        group = self.amount(name)
        before = self._left.get(group.kind, Amount(group.kind, group.cost and 0.0, 0.0))
        cost = None if group.cost is None else (before.cost or 0.0) + sign * group.cost
        self._left[group.kind] = Amount(group.kind, cost, before.unit + sign * group.unit)
