"""First unique character: at each position, the first character so far that occurs once.

Source: C. McDougall, monthly algorithmic problem of August 2023.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.worlds.algorithms.task import Task, unasked


def first_unique(letters: int = 10, length: int = 20) -> Task:
    """Name at each position the first character so far that occurs once, "?" where none does; the
    sequence begins with "?"."""
    none = letters

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        return np.concatenate(
            [np.full((n, 1), none), generator.integers(letters, size=(n, length - 1))], 1
        )

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        often = np.zeros((len(tokens), letters), dtype=np.int64)
        first = np.full((len(tokens), letters), length)
        for position in range(tokens.shape[1]):
            current = tokens[:, position]
            rows = np.flatnonzero(current != none)
            often[rows, current[rows]] += 1
            first[rows, current[rows]] = np.minimum(first[rows, current[rows]], position)
            place = np.where(often == 1, first, length)
            out[:, position] = np.where((often == 1).any(1), place.argmin(1), none)
        return out

    names = (*(chr(ord("a") + i) for i in range(letters)), "?")
    return Task(f"first-unique-{letters}-{length}", names, names, length, draw_inputs, answer)
