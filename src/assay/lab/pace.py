"""Pace: how long groups take against what was planned for them, and from that the time that is left, as a range."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from assay.core.compute import Range

LATEST = 3
"""Groups of a kind that tell its pace: the first of a command also builds what all share."""
APART = 1.1
"""By how much the next group may take longer or shorter than any of these."""
LEAST = 0.05
"""The share of its time that a group has left as long as it is not stored: measuring follows the last step."""


@dataclass(frozen=True)
class Pending:
    """A group that is not stored: what it was planned to cost, None where nothing is known, and its kind, which shares a pace."""

    name: str
    kind: tuple[str, ...]
    """The experiment and its arms."""
    cost: float | None
    unit: float
    """A number that groups of one kind cost in proportion to, such as their runs: what counts where nothing was planned."""


class Pace:
    """What the groups of one command took so far."""

    def __init__(self, width: int, clock: Callable[[], float] = time.monotonic):
        self._width, self._clock = width, clock
        self._began: dict[str, float] = {}
        self._took: dict[tuple[str, ...], list[tuple[float, Pending]]] = {}

    def began(self, name: str) -> None:
        """Note that a group is being worked on."""
        self._began.setdefault(name, self._clock())

    def stored(self, group: Pending) -> None:
        """Note that a group is stored."""
        if (start := self._began.pop(group.name, None)) is not None:
            self._took.setdefault(group.kind, []).append((self._clock() - start, group))

    def gone(self, name: str) -> None:
        """Forget a group that crashed, or that another process has."""
        self._began.pop(name, None)

    def left(self, pending: Iterable[Pending]) -> Range | None:
        """Seconds until all of these are stored; None before the first group is stored, or while one of unknown cost is of a new kind.

        Groups share the workers, but none is shared itself, so the longest of them is the least.
        """
        if not self._took:
            return None
        planned = [seconds / group.cost for took in self._took.values() for seconds, group in took[-LATEST:] if group.cost]
        low = high = longest_low = longest_high = 0.0
        for group in pending:
            if (whole := self._whole(group, planned)) is None:
                return None
            spent = self._clock() - self._began[group.name] if group.name in self._began else 0.0
            rest = [max(LEAST * total, total - spent) for total in (whole.low, whole.high)]
            low, high = low + rest[0], high + rest[1]
            longest_low, longest_high = max(longest_low, rest[0]), max(longest_high, rest[1])
        return Range(max(low / self._width, longest_low), max(high / self._width, longest_high))

    def _whole(self, group: Pending, planned: list[float]) -> Range | None:
        """Seconds that a group takes: as those of its kind took, else as others took against their plans."""
        if own := self._took.get(group.kind):
            seen = [seconds * group.unit / one.unit for seconds, one in own[-LATEST:]]
        elif group.cost is None or not planned:
            return None
        else:
            seen = [factor * group.cost for factor in planned]
        return Range(min(seen) / APART, max(seen) * APART)
