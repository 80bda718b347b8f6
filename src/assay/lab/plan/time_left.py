"""Time left: what is still to be done, at the pace of the groups that were stored so far.

Groups of one kind, an experiment's arms, are taken to need their planned seconds times one factor:
that which those of their kind that are stored needed, or those of all kinds. The work is shared by
the workers, and lasts at least as long as its longest chain of groups that wait for another."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from assay.core.compute import Range

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
