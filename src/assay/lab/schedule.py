"""Schedule: which group is handed out next.

First seeds first, so that early verdicts speak of whole seeds; among these the longest first;
parents before those that build on them; groups that another process holds again later, and waited
for only at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from assay.core.experiment import Experiment
from assay.lab.events import Outcome
from assay.lab.groups import RunGroup
from assay.lab.store import Store
from assay.lab.time_left import Pending
from assay.lab.worker import Task

_BUSY = 0.5  # seconds until a group that another process holds is tried again


class Schedule:
    """The groups of one command on their way to being stored; `tasks` hands them out, `settle`
    takes the outcomes."""

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
        self._cost = {
            g.name: sum(per_run.get(arm, 1.0) * len(members) for arm, members in g.arms.items())
            for g in groups
        }
        self._resumed = {g.name for g in groups if g.step}
        self._after = {
            g.name: frozenset(h.name for h in groups if h.keys & g.parents) for g in groups
        }
        self._waiting = sorted(
            self.groups, key=lambda n: (_first_seed(self.groups[n]), -self._reach(n))
        )
        self._running: set[str] = set()
        self._again: dict[str, float] = {}
        self._given_up = False
        self.failed: list[Outcome] = []
        self.done: list[str] = []

    def tasks(self) -> Iterator[Task | None]:
        """The next task, or None while all that is left waits for another; ends when nothing is
        left."""
        while self._waiting or self._running:
            name = next((n for n in self._waiting if self._ready(n)), None)
            if name is None:
                yield None
                continue
            self._waiting.remove(name)
            self._running.add(name)
            root, e = str(self._store.root.absolute()), self._experiment
            yield Task(root, name, e.name, e.origin, self._device, experiment=e)

    def settle(self, outcome: Outcome) -> None:
        """Record how this task ended. What builds on a failed group is given up."""
        name = outcome.group
        self._running.discard(name)
        if outcome.status == "busy":
            self._again[name] = time.monotonic() + _BUSY
            self._waiting.append(name)  # last: waited for only when nothing else is left
        elif outcome.status == "done":
            self.done.append(name)
        else:
            self.failed.append(outcome)
            lost = set(self.groups[name].keys)
            while given_up := [n for n in self._waiting if self.groups[n].parents & lost]:
                for n in given_up:
                    self._waiting.remove(n)
                    lost |= self.groups[n].keys

    def give_up(self) -> None:
        """Hand out no other group."""
        self._waiting, self._given_up = [], True

    @property
    def over(self) -> bool:
        """True when nothing is left that would be waited for."""
        return not self._waiting and (self._given_up or not self._running)

    def left(self) -> float:
        """The cost of everything that is not stored or given up, in the units of `per_run`."""
        return sum(self._cost[n] for n in (*self._waiting, *self._running))

    def cost(self, name: str) -> float:
        """The cost of one group, in the units of `per_run`."""
        return self._cost[name]

    def pending(self) -> list[Pending]:
        """Every group that is not stored or given up, in the order in which they are handed out."""
        return [self.group(n) for n in (*self._running, *self._waiting)]

    def group(self, name: str) -> Pending:
        """One group as its pace is told: its cost where it was planned, and its runs."""
        arms = self.groups[name].arms
        known = all(arm in self._per_run for arm in arms)
        return Pending(
            name,
            (self._experiment.name, *arms),
            self._cost[name] if known else None,
            len(self.groups[name].members),
            self._after[name],
            name in self._resumed,
        )

    def _reach(self, name: str) -> float:
        """The cost of a group and of the dearest chain that has to wait for it."""
        after = [n for n, parents in self._after.items() if name in parents]
        return self._cost[name] + max((self._reach(n) for n in after), default=0.0)

    def _ready(self, name: str) -> bool:
        if time.monotonic() < self._again.get(name, 0.0):
            return False
        elsewhere = (self.groups[n].keys for n in (*self._waiting, *self._running) if n != name)
        return not any(self.groups[name].parents & keys for keys in elsewhere)


def _first_seed(group: RunGroup) -> int:
    return min(int(m.spec["seed"]) for m in group.members)
