"""What evaluating reports before its result: what differs from a dictionary's file, and what begins
now."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Warned:
    """A site or model that is not the one in a dictionary's file; reported before anything is
    computed."""

    dictionary: str
    text: str


@dataclass(frozen=True)
class Begun:
    """A step that begins now and takes a while before anything else is reported."""

    text: str


COMPARED = "windows compared with baselines"
BEGINS = {COMPARED: "fitting the baselines"}
"""What is done before the first of what a step counts, where it is not loading the model."""
Watch = Callable[[Warned | Begun], None]


def warn(event: Warned | Begun) -> None:
    """Give a warning as Python does, and keep silent about all else."""
    if isinstance(event, Warned):
        warnings.warn(f"{event.dictionary}: {event.text}", UserWarning, stacklevel=2)


INSTANT = 0.02
"""Seconds; what is done faster was stored already, and says nothing about the rest."""


class Remaining:
    """Takes how many of how many are done."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self._worked, self._made, self._last = 0.0, 0, time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Take how many of how many are done; what comes before the first of them is loading."""
        moment = time.monotonic()
        if self.done and moment - self._last >= INSTANT:
            self._worked += moment - self._last
            self._made += done - self.done
        self.done, self.total, self._last = done, total, moment

    @property
    def measured(self) -> tuple[float, int]:
        """Seconds that were measured, and how many were done in them."""
        return self._worked, self._made

    @property
    def seconds(self) -> float | None:
        """Seconds that the rest takes at the speed so far; None: not known yet."""
        return (self.total - self.done) * self._worked / self._made if self._made > 0 else None
