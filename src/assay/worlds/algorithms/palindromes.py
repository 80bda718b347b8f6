"""Palindromes: does the second half of a list repeat the first one backwards? Asked at the end.

Source: C. McDougall, monthly algorithmic problem of July 2023.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.worlds.algorithms.task import Task, unasked


def palindromes(half: int = 10, values: int = 31) -> Task:
    """Tell whether START a₁ … a₂ₙ END is a palindrome, n = half, each a below `values`.

    Half of the inputs are palindromes. In the others each place of the second half is drawn anew
    with probability ½, so that few differ in many places, and a few are palindromes all the same.
    """
    start, end = values, values + 1

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        first = generator.integers(values, size=(n, half))
        second = first[:, ::-1].copy()
        anew = (generator.random((n, half)) < 0.5) & (generator.random((n, 1)) < 0.5)
        second[anew] = generator.integers(values, size=(n, half))[anew]
        return np.concatenate([np.full((n, 1), start), first, second, np.full((n, 1), end)], 1)

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, -1] = (tokens[:, 1 : half + 1] == tokens[:, -2:half:-1]).all(1)
        return out

    names = (*map(str, range(values)), "START", "END")
    return Task(
        f"palindromes-{half}-{values}",
        names,
        ("no", "palindrome"),
        2 * half + 2,
        draw_inputs,
        answer,
    )


def mismatches(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, " n"]:
    """Count the pairs of mirrored places that differ; 0 in a palindrome."""
    inner = tokens[:, 1:-1]
    half = inner.shape[1] // 2
    return (inner[:, :half] != inner[:, : half - 1 : -1]).sum(1)
