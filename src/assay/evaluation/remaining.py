"""Remaining: how much of making an index is left, and how long it takes: one share and one time
over all that is done."""

from __future__ import annotations

import time
from dataclasses import dataclass

INSTANT = 0.02
"""Seconds; what is done faster was found and not made, and says nothing about the rest."""


@dataclass(frozen=True)
class Phase:
    """Something that making an index consists of."""

    words: str
    unit: str
    cost: float
    """Of one unit, beside that of one token read: as measured on SmolLM2 with 4,608 features and
    windows of 128 tokens."""


PHASES = {
    "tokens": Phase("reading the text", "tokens", 1.0),
    "windows with features taken out": Phase("taking features out", "windows", 55.0),
    "windows with the reconstruction in place": Phase(
        "measuring the loss with the reconstruction in place", "windows", 110.0
    ),
    "windows beside others": Phase(
        "comparing it with random directions, principal components and the mean", "windows", 300.0
    ),
    "features": Phase("making the tables", "features", 0.3),
}
"""What `index` tells → what it is, in the order in which it is done."""


class Remaining:
    """Hears what `index` tells of its progress, and says how much is left in all."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.what = next(iter(PHASES))
        self._done, self._total = dict.fromkeys(PHASES, 0), dict.fromkeys(PHASES, 0)
        self._worked, self._made = dict.fromkeys(PHASES, 0.0), dict.fromkeys(PHASES, 0.0)
        self._last = time.monotonic()

    def __call__(self, what: str, count: int, total: int) -> None:
        """Take how many of how many of something are done; none of them says that it will be done
        later."""
        moment, names = time.monotonic(), list(PHASES)
        if not count and what == names[0] and self._done[what]:  # another index is begun
            self._begin()
        if count:
            for earlier in names[: names.index(what)]:
                self._done[earlier] = self._total[earlier]
            # what comes before the first word is loading
            if self._done[self.what] and moment - self._last >= INSTANT:
                self._worked[what] += moment - self._last
                self._made[what] += (count - self._done[what]) * PHASES[what].cost
            self.what, self._last = what, moment
        self._done[what], self._total[what] = count, total

    @property
    def phase(self) -> Phase:
        """What is being done."""
        return PHASES[self.what]

    @property
    def done(self) -> int:
        """Units of it that are done."""
        return self._done[self.what]

    @property
    def total(self) -> int:
        """Units of it in all."""
        return self._total[self.what]

    @property
    def share(self) -> float:
        """How much of all is done, from 0 to 1."""
        whole = self._cost(self._total)
        return self._cost(self._done) / whole if whole else 0.0

    @property
    def seconds(self) -> float | None:
        """Seconds that the rest takes: of what is being done at its own speed, of what comes after
        at that of all so far; None: not known."""
        worked, completed_cost = sum(self._worked.values()), sum(self._made.values())
        if completed_cost <= 0:
            return None
        phase_cost = (self.total - self.done) * self.phase.cost
        later = self._cost(self._total) - self._cost(self._done) - phase_cost
        phase_pace = (
            self._worked[self.what] / self._made[self.what]
            if self._made[self.what] > 0
            else worked / completed_cost
        )
        return phase_cost * phase_pace + later * worked / completed_cost

    @staticmethod
    def _cost(counts: dict[str, int]) -> float:
        return sum(count * PHASES[name].cost for name, count in counts.items())
