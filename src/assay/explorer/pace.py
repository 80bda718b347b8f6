"""Pace: about how long the rest of an index takes, from what was measured of it so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.compute import Range
from assay.evaluation.indexing import ABLATED, FEATURES, IN_PLACE, SPLICED, TOKENS, steps
from assay.evaluation.text import CONTEXT
from assay.evaluation.watching import COMPARED, Remaining

GRADIENTS = "tokens with gradients"
WORK = {TOKENS: 1, GRADIENTS: 2.2, FEATURES: 0.5, ABLATED: 160, IN_PLACE: 270, COMPARED: 510}
"""How long one of each is expected to take, compared with reading a token: CPU time on a
showcase."""
BEGIN = {TOKENS: 2500, GRADIENTS: 400, FEATURES: 500, COMPARED: 5500}
"""How long what comes before the first of each is expected to take, on the same scale."""
OFF = 1.6, 1.3
"""By which factor a forecast may be off: of a kind of work that was not measured yet, at least, and
of one that was."""
HALF = 120.0
"""Seconds after which a measurement counts half: other programs come and go."""


def planned(indexes: Sequence[Mapping[str, Any]], features: int) -> list[tuple[str, float]]:
    """What each step of some indexes counts, one index after the other, and how many of it are left
    to it by the indexes before."""
    work, read, ablated = [], {TOKENS: 0, GRADIENTS: 0}, 0
    for setting in indexes:
        kind = GRADIENTS if setting["gradients"] else TOKENS
        new, read[kind] = max(0, setting["tokens"] - read[kind]), setting["tokens"]
        windows = min(SPLICED, setting["tokens"] // CONTEXT + 1)
        ablations = setting["ablate"] * setting.get("ablate_windows", 16) - ablated
        counts = {FEATURES: features, ABLATED: ablations, IN_PLACE: windows, COMPARED: windows}
        ablated += ablations
        work += [(kind, new) if s == TOKENS else (s, counts[s]) for s in steps(**setting)]
    return work


class Pace:
    """Takes how far each step is, and says how long the rest of all takes: as much longer than
    expected as what was measured, by kind of work where that was."""

    def __init__(self, work: Sequence[tuple[str, float]]):
        self.work, self.step = work, 0
        self._now = Remaining()
        self._measured: dict[str, tuple[float, float]] = {}
        """Seconds that were measured and those that were expected, by kind and, under "", in all;
        the later ones count more."""

    def __call__(self, step: int, done: int, total: int) -> None:
        """Take how much of how much is done in a step, numbered from 0; one that has nothing left
        only looks at what is stored, which is faster."""
        if step != self.step:
            self._now, self.step = Remaining(), step
        before, (kind, left) = self._now.measured, self.work[step]
        self._now(done, total)
        seconds, count = (b - a for a, b in zip(before, self._now.measured, strict=True))
        if count and left:
            fades = 0.5 ** (seconds / HALF)
            for name in (kind, ""):
                took, expected = (fades * x for x in self._measured.get(name, (0.0, 0.0)))
                self._measured[name] = took + seconds, expected + WORK[kind] * count

    @property
    def left(self) -> Range | None:
        """How long the rest takes; None: nothing is measured yet."""
        if not self._measured:
            return None
        rest = Range(0, 0)
        for i, (kind, count) in enumerate(self.work[self.step :]):
            left = count if i else min(count, self._now.total - self._now.done)
            expected = WORK[kind] * left + BEGIN.get(kind, 0) * (0 < left == count)
            seconds, of = self._measured.get(kind, self._measured[""])
            rest += Range.about(seconds / of * expected, OFF[kind in self._measured])
        return rest
