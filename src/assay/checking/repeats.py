"""Repeats: calls of a function that are alike, which tell what a call leaves behind from noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from assay.checking.calls import Numbers

ALIKE = 0.05
"""The share of the largest effect up to which numbers that should be the same may differ, as they
do by rounding in a batch of another size."""
AGAIN = 7
"""How many further calls have to agree with one that differs from the first two: of a noisy yes or
no, p²(1 − p)⁸ < 0.7% of calls are like that."""
CLEAR = 3.0
"""A change for good is more than so many times that between calls that agree."""
IN_ORDER = 8
"""How many calls have to move in one direction: the order of noise is that in 2 of 8! cases."""


class Repeats:
    """The numbers of calls that are alike, between which others are made."""

    def __init__(self, call: Callable[[], Numbers]) -> None:
        self.call, self.noisy = call, False
        self.seen: list[Numbers] = []
        self.far = np.zeros(1)
        """Of each number, by how much it may differ that counts as the same."""

    def take(self) -> Numbers:
        """Call once more."""
        self.seen.append(self.call())
        return self.seen[-1]

    def compare(self, other: Numbers) -> None:
        """Set how far apart numbers may be, by how far they are from those of another call, and
        whether those of two calls in a row are noisy."""
        self.far = ALIKE * _apart(self.seen[0], other)
        self.noisy = bool((_apart(*self.seen[:2]) > self.far).any())

    def stepped(self) -> float:
        """Call once more, and by how much numbers have changed for good since the first two calls,
        which agreed; 0 where they have not, or where numbers are noisy."""
        first, second, *_, last = *self.seen, self.take()
        least = np.maximum(self.far, CLEAR * _apart(first, second))
        for _ in range(AGAIN):
            moved = _apart(first, last)
            if self.noisy or not (moved > least).any():
                return 0.0
            least = np.maximum(least, CLEAR * _apart(last, self.take()))
            self.noisy = not (moved > least).any()
        return 0.0 if self.noisy else float(moved[moved > least].max())

    def drifted(self) -> float:
        """By how much numbers move where each call moves them in the same direction; else 0."""
        while self._in_order() and len(self.seen) < IN_ORDER:
            self.take()
        moved = _apart(self.seen[0], self.seen[-1])
        return float(moved.max()) if self._in_order() and (moved > self.far).any() else 0.0

    def _in_order(self) -> bool:
        """Whether each number that moves does so at each call, in one direction."""
        moves = np.diff([np.concatenate([*x.values()]) for x in self.seen], axis=0)
        moves = moves[:, (moves != 0).any(axis=0)]
        return moves.size > 0 and bool(np.all((moves > 0).all(axis=0) | (moves < 0).all(axis=0)))


def _apart(first: Numbers, other: Numbers) -> np.ndarray:
    """By how much each number differs at most."""
    return np.array([np.nanmax(np.abs(other[n] - x), initial=0.0) for n, x in first.items()])
