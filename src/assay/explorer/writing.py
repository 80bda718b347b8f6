"""Writing: texts that are continued a little at each request; whoever asks no more has stopped
theirs, and what was written is kept.

Nothing runs between requests. The same question gives the same text, so one that was given up is
begun again when it is asked for."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator

from assay.explorer.problems import AWAY, Problem
from assay.explorer.turn import Turn
from assay.features.live.steering import Step

STRETCH = 0.4
"""Seconds for which one request writes."""
LONGEST = 60.0
"""Seconds that one text may take of the model in all."""
OPEN, STALE = 4, 10.0
"""Texts that are written at the same time, and seconds after which one that nobody asks for is
given up."""
KEPT = 32
"""Texts that are kept, whether they ended or were given up."""


class Writing:
    """One text and what goes on from there."""

    def __init__(self, begin: Callable[[], Iterator[Step]]):
        self._begin, self._lock = begin, threading.Lock()
        self._more: Iterator[Step] = iter(())
        self.steps: list[Step] = []
        self.seconds, self.asked = 0.0, time.monotonic()
        self.begun = self.ended = False

    def go_on(self, turn: Turn, new: int) -> None:
        """Write for a moment, or until there are so many tokens. Raises: Problem where the model is
        busy, DataError by `begin`."""
        with self._lock:
            until = time.monotonic() + STRETCH
            while not self.ended and len(self.steps) < new and time.monotonic() < until:
                with turn:
                    began = time.monotonic()
                    if not self.begun:
                        self.steps, self._more, self.begun, self.seconds = (
                            [],
                            self._begin(),
                            True,
                            0.0,
                        )
                    step = next(self._more, None)
                    self.seconds += time.monotonic() - began
                if step is not None:
                    self.steps.append(step)
                self.ended = step is None or self.late

    @property
    def late(self) -> bool:
        """Whether it had all the time that a text may have."""
        return self.seconds > LONGEST

    def open(self, moment: float) -> bool:
        """Whether someone still asks for more; if not, what the model holds for it is let go."""
        if self.begun and not self.ended and self.asked + STALE >= moment:
            return True
        if not self.ended and not self._lock.locked():
            self.begun, self._more = False, iter(())
        return False


class Writings:
    """The texts of one dictionary, by question."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Writing] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, question: Hashable, begin: Callable[[], Iterator[Step]]) -> Writing:
        """Give the text of a question, there or to be begun. Raises: Problem where too many are
        being written."""
        with self._lock:
            moment = time.monotonic()
            writing = self._kept.get(question)
            open_count = sum(w.open(moment) for w in self._kept.values() if w is not writing)
            if writing is None:
                if open_count >= OPEN:
                    raise Problem(
                        AWAY, f"{OPEN} other texts are being written; ask again in a moment"
                    )
                writing = self._kept[question] = Writing(begin)
            self._kept.move_to_end(question)
            writing.asked = moment
            for key in [key for key, w in self._kept.items() if w is not writing][
                : max(0, len(self._kept) - KEPT)
            ]:
                del self._kept[key]
            return writing
