"""Pace: about how long the rest of an index takes, from what was measured of it so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from assay.evaluation.indexing import ABLATED, FEATURES, IN_PLACE, SPLICED, TOKENS, steps
from assay.evaluation.text import CONTEXT
from assay.evaluation.watching import COMPARED, Remaining

GRADIENTS = "tokens with gradients"
WORK = {TOKENS: 1, GRADIENTS: 2.2, FEATURES: 1, ABLATED: 120, IN_PLACE: 170, COMPARED: 550}
"""How long one of each takes, compared with reading a token: measured on a showcase, and the guess
until an index has its own measurement."""


def planned(indexes: Sequence[Mapping[str, Any]], features: int) -> list[tuple[str, float]]:
    """What each step of some indexes counts, one index after the other, and how many of it are left
    to it by the indexes before."""
    work, read = [], {TOKENS: 0, GRADIENTS: 0}
    for setting in indexes:
        kind = GRADIENTS if setting["gradients"] else TOKENS
        new, read[kind] = max(0, setting["tokens"] - read[kind]), setting["tokens"]
        windows = min(SPLICED, setting["tokens"] // CONTEXT + 1)
        ablations = setting["ablate"] * setting.get("ablate_windows", 16)
        counts = {FEATURES: features, ABLATED: ablations, IN_PLACE: windows, COMPARED: windows}
        work += [(kind, new) if s == TOKENS else (s, counts[s]) for s in steps(**setting)]
    return work


class Pace:
    """Takes how far each step is, and says how long the rest of all takes."""

    def __init__(self, work: Sequence[tuple[str, float]]):
        self.work = work
        self.step = 0
        self._now, self._measured = Remaining(), dict[str, tuple[float, float]]()

    def __call__(self, step: int, done: int, total: int) -> None:
        """Take how much of how much is done in a step, numbered from 0."""
        if step != self.step:
            self._measured, self._now, self.step = self._known(), Remaining(), step
        self._now(done, total)

    @property
    def seconds(self) -> float | None:
        """Seconds that the rest takes; None: not known yet."""
        if not (known := self._known()):
            return None
        speed = sum(s for s, _ in known.values()) / sum(WORK[k] * n for k, (_, n) in known.items())
        each = {kind: speed * work for kind, work in WORK.items()}
        each |= {kind: seconds / count for kind, (seconds, count) in known.items()}
        now = (self.work[self.step][0], self._now.total - self._now.done)
        return sum(each[kind] * count for kind, count in (now, *self.work[self.step + 1 :]))

    def _known(self) -> dict[str, tuple[float, float]]:
        """Seconds that were measured of each kind of work, and of how many; a step that has nothing
        left only looks at what is stored, which is faster."""
        kind, left = self.work[self.step]
        if not left or not self._now.measured[1]:
            return self._measured
        before = self._measured.get(kind, (0.0, 0.0))
        seconds, count = map(sum, zip(before, self._now.measured, strict=True))
        return self._measured | {kind: (seconds, count)}
