"""Maximum of a list of digits, asked after its end.

Source: the monthly puzzle of April 2026, part a (A. Arditi and others, puzzles.baulab.info), in the
style of McDougall's series."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.worlds.algorithms.task import Task, unasked


def maximum(items: int = 5, values: int = 10) -> Task:
    """Name the largest of BOS n₁ SEP n₂ SEP … nₖ ANS, asked at ANS; values are uniform."""
    begin, separator, ask = values, values + 1, values + 2

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        out = np.full((n, 2 * items + 1), separator)
        out[:, 0], out[:, -1] = begin, ask
        out[:, 1:-1:2] = generator.integers(values, size=(n, items))
        return out

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, -1] = tokens[:, 1:-1:2].max(1)
        return out

    numbers = tuple(map(str, range(values)))
    return Task(
        f"maximum-{items}-{values}",
        (*numbers, "BOS", "SEP", "ANS"),
        numbers,
        2 * items + 1,
        draw_inputs,
        answer,
    )
