"""Schedule: which group is handed out next: first seeds first, so that early verdicts speak of
whole seeds; among these the dearest first; parents before those that build on them; groups that
another process holds again later, and waited for only at the end. And how long the rest takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush

from assay.core.experiment import Experiment
from assay.lab.store.groups import RunGroup
from assay.lab.store.store import Store
from assay.lab.work.events import Outcome
from assay.lab.work.tasks import Task

_BUSY = 0.5  # seconds until a group that another process holds is tried again


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
        self._given_up = False
        self._ready: list[tuple[int, float, str]] = []
        self._again: list[tuple[float, str]] = []
        self._open = set(self.groups)
        self._left = sum(map(self.cost, self._open))
        self._running: set[str] = set()
        for name, parents in self._parents.items():
            if not parents:
                self._offer(name)
        self.failed: list[Outcome] = []
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
        if outcome.status == "busy" and not self._given_up:
            heappush(self._again, (time.monotonic() + _BUSY, name))
            return
        self._close(name)
        if outcome.status == "done":
            self.runs_done += len(self.groups[name].members)
            for child in self._children[name]:
                self._parents[child].discard(name)
                if not self._parents[child] and child in self._open:
                    self._offer(child)
        elif outcome.status == "failed":
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
        return self._left if self._open else 0.0

    @property
    def groups_left(self) -> int:
        """How many groups are not stored or given up."""
        return len(self._open)

    def cost(self, name: str) -> float:
        """The cost of one group, in the units of `per_run`."""
        arms = self.groups[name].arms
        return sum(self._per_run.get(arm, 1.0) * len(members) for arm, members in arms.items())

    def _offer(self, name: str) -> None:
        seed = min(int(m.spec["seed"]) for m in self.groups[name].members)
        heappush(self._ready, (seed, -self.cost(name), name))

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
            self._left -= self.cost(name)


class Pace:
    """What the groups of one command took so far, in seconds by the clock for each unit of cost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._began: dict[str, tuple[float, float, float]] = {}
        self._seconds = self._cost = 0.0

    def began(self, group: str, cost: float) -> None:
        """Note that a group of this planned cost is being worked on."""
        # the first ones build what all share, and say less of the others
        counts = 1.0 if self._cost else 0.25
        self._began.setdefault(group, (self._clock(), cost, counts))

    def stored(self, group: str) -> None:
        """Note that a group is stored, and what it took."""
        if group in self._began:
            start, cost, counts = self._began.pop(group)
            self._seconds += counts * (self._clock() - start)
            self._cost += counts * cost

    def gone(self, group: str) -> None:
        """Forget a group that is worked on no more: it crashed, say, or another process has it."""
        self._began.pop(group, None)

    def left(self, cost: float, workers: float) -> float | None:
        """The seconds that groups of this cost still take, those included that are being worked on;
        None before one is stored."""
        if not self._cost or not workers:
            return None
        now, each = self._clock(), self._seconds / self._cost or math.inf
        running = list(self._began.values())
        done = sum(min((now - start) / each, 0.95 * cost) for start, cost, _ in running)
        return each * (cost - done) / workers
