"""Remaining: how fast something countable goes, as measured, and how long the rest of it takes."""

from __future__ import annotations

import time

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
    def seconds(self) -> float | None:
        """Seconds that the rest takes at the speed so far; None: not known yet."""
        return (self.total - self.done) * self._worked / self._made if self._made > 0 else None
