"""Sorted list: distinct values, a separator, and the same values in rising order.

Source: C. McDougall, monthly algorithmic problem of October 2023.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay_catalogue.worlds.algorithms.task import Task, unasked


def sorted_list(items: int = 10, values: int = 51) -> Task:
    """Sort so many distinct values; asked from the separator on, for the next value of the sorted
    list."""
    separator = values

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        mixed = generator.random((n, values)).argsort(1)[:, :items]
        return np.concatenate([mixed, np.full((n, 1), separator), np.sort(mixed, 1)], 1)

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, items:-1] = np.sort(tokens[:, :items], 1)
        return out

    names = (*map(str, range(values)), "SEP")
    return Task(f"sorted-list-{items}-{values}", names, names, 2 * items + 1, draw_inputs, answer)
