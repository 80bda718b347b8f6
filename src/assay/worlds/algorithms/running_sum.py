"""Sign of the running sum: is what was read so far negative, zero or positive in all?

Source: C. McDougall, monthly algorithmic problem of November 2023.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.worlds.algorithms.task import Task


def running_sum(length: int = 20, most: int = 5) -> Task:
    """Tell the sign of the sum so far at each position, of values from −most to most.

    After the first value, magnitudes are uniform from 0 to most; where the sum is positive the next
    value is negative with probability .7, elsewhere with probability .3, so that sums stay near
    zero."""

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        first, size, chance = (
            generator.integers(-most, most + 1, size=n),
            generator.integers(most + 1, size=(n, length)),
            generator.random((n, length)),
        )
        out, total = np.empty((n, length), dtype=np.int64), first.copy()
        out[:, 0] = first
        for position in range(1, length):
            negative = chance[:, position] < np.where(total > 0, 0.7, 0.3)
            out[:, position] = np.where(negative, -size[:, position], size[:, position])
            total += out[:, position]
        return out + most

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        return np.sign(np.cumsum(tokens - most, 1)) + 1

    names = tuple(f"{v:+d}" if v else "0" for v in range(-most, most + 1))
    return Task(
        f"running-sum-{length}-{most}",
        names,
        ("negative", "zero", "positive"),
        length,
        draw_inputs,
        answer,
    )
