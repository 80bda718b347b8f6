"""Sum of two numbers, digit by digit, the most significant one first.

Source: C. McDougall, monthly algorithmic problem of September 2023.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.worlds.algorithms.task import Task, unasked


def digit_sum(digits: int = 4) -> Task:
    """Write A + B = C with so many digits each, asked for the digits of C from "=" on; first digits
    are below 5, so that C has no more."""
    plus, equals = 10, 11

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        a, b = (
            np.concatenate(
                [generator.integers(5, size=(n, 1)), generator.integers(10, size=(n, digits - 1))],
                1,
            )
            for _ in range(2)
        )
        return _written(a, b, _sum(a, b))

    def _written(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [a, np.full((len(a), 1), plus), b, np.full((len(a), 1), equals), c], 1
        )

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, 2 * digits + 1 : -1] = _sum(
            tokens[:, :digits], tokens[:, digits + 1 : 2 * digits + 1]
        )
        return out

    names = (*map(str, range(10)), "+", "=")
    return Task(f"digit-sum-{digits}", names, names, 3 * digits + 2, draw_inputs, answer)


def _sum(
    a: Int[np.ndarray, "n digit"], b: Int[np.ndarray, "n digit"]
) -> Int[np.ndarray, "n digit"]:
    digits = a.shape[1]
    weight = 10 ** np.arange(digits - 1, -1, -1)
    return ((a + b) @ weight)[:, None] // weight % 10


def carries(tokens: Int[np.ndarray, "n s"], digits: int) -> Int[np.ndarray, "n digit"]:
    """Give what each digit of the sum takes over from the digits to its right, 0 or 1."""
    a, b = tokens[:, :digits], tokens[:, digits + 1 : 2 * digits + 1]
    return (_sum(a, b) - a - b) % 10
