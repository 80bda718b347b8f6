"""How much of a model is shown, whatever its size, and what texts from outside are cut to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.core.plain import plain

if TYPE_CHECKING:
    from assay.circuits.problem import Problem

PLACES = 32
"""Positions of a heat map; of a longer input the last ones."""
TOKENS = 40
"""Rows and columns of a table over tokens or answers; none is made of a larger vocabulary."""
HEADS = 16
"""Heads whose patterns and tables are shown: those that cost most when they are taken away."""
PARTS = 64
"""Parts that are listed."""
PAIRED = 24
"""Parts of a model of which any two are taken away together."""
NODES = 40
"""Variables of a causal graph that is drawn."""
EXAMPLES, INPUTS = 6, 64
"""Inputs that are shown, and over which numbers are averaged."""
NAME, TEXT = 24, 300
"""Letters of a name, and of a sentence or a rule."""
_LOAD = 2**23
"""Attention weights of one pass."""


def rows(problem: Problem) -> int:
    """Give how many inputs one pass may have, so that its memory does not grow with the length of inputs."""
    _, layers, _, _, heads, _ = problem.params["W_QKV"].shape
    return max(1, min(1024, _LOAD // (layers * heads * problem.task.length**2)))


def inputs(problem: Problem) -> int:
    """Give over how many inputs numbers are averaged."""
    return min(INPUTS, max(4, rows(problem)))


def window(length: int) -> range:
    """Give the positions that are shown."""
    return range(max(0, length - PLACES), length)


def short(text: str, most: int = NAME) -> str:
    """Cut a text from outside, and put � for what a page would obey."""
    whole = plain(text)
    return whole if len(whole) <= most else whole[: most - 1] + "…"
