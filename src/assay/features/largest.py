"""The largest few of many numbers, row by row, without sorting them all."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

ACROSS = 512
"""Groups into which a row is split; each has a maximum."""


def largest(values: Float[np.ndarray, "n m"], count: int) -> Int[np.ndarray, "n count"]:
    """Return places of the `count` largest of each row, largest first, ties by place; fewer where a
    row is shorter."""
    n, m = values.shape
    count = min(count, m)
    places = np.empty((n, count), np.int64)
    if count:
        across = max(count, ACROSS)
        whole = m // across * across
        for i, row in enumerate(values):
            maxima = row[:whole].reshape(-1, across).max(0) if whole else row
            bar = np.partition(maxima, -count)[
                -count
            ]  # so many numbers reach it, so the largest do
            reach = np.flatnonzero(row >= bar)
            places[i] = reach[np.argsort(-row[reach], kind="stable")[:count]]
    return places
