"""Distinct symbols: how many different ones a list holds, whatever their order; asked after its
end.

Source: the monthly puzzle of May 2026 (puzzles.baulab.info), in the style of McDougall's series;
its inputs are balanced over answers as ours are, but repeats are allowed here.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from assay.worlds.algorithms.task import Task, unasked


def distinct(length: int = 10, symbols: int = 10) -> Task:
    """Count the different symbols of BOS t₁ … tₙ ANS, asked at ANS.

    Each count is as likely as any other: that many symbols are chosen, each stands once, and the
    rest of the places repeat them."""
    begin, ask, most = symbols, symbols + 1, min(length, symbols)

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        count = generator.integers(1, most + 1, size=n)
        order = generator.random((n, symbols)).argsort(1)
        place = np.arange(length)[None]
        which = np.where(
            place < count[:, None],
            place,
            (generator.random((n, length)) * count[:, None]).astype(np.int64),
        )
        mixed = np.take_along_axis(
            np.take_along_axis(order, which, 1), generator.random((n, length)).argsort(1), 1
        )
        return np.concatenate([np.full((n, 1), begin), mixed, np.full((n, 1), ask)], 1)

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out, inner = unasked(tokens), np.sort(tokens[:, 1:-1], 1)
        out[:, -1] = (np.diff(inner, axis=1) > 0).sum(1)
        return out

    letters = tuple(chr(ord("a") + i) for i in range(symbols))
    counts = tuple(str(i + 1) for i in range(most))
    return Task(
        f"distinct-{length}-{symbols}",
        (*letters, "BOS", "ANS"),
        counts,
        length + 2,
        draw_inputs,
        answer,
    )
