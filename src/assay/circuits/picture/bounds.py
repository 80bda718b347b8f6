"""How much of a model is shown, whatever its size, and what texts from outside are cut to."""

from __future__ import annotations

from assay.circuits.problem import Problem
from assay.core.plain import plain

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
_PASS, _WORK = 2**23, 2**27
"""Attention weights, or logits, of one pass, and of all passes of a patching map."""


def rows(problem: Problem) -> int:
    """Give how many inputs one pass may have, so that its memory does not grow with the length of
    inputs or the vocabulary."""
    return max(1, min(1024, _PASS // _count_per_input(problem)))


def inputs(problem: Problem) -> int:
    """Give over how many inputs numbers are averaged: fewer of a larger model, and four at
    least."""
    _, layers, _, _, heads, _ = problem.params["W_QKV"].shape
    cells = min(PARTS, layers * (heads + 1) + 2) * min(PLACES, problem.task.length)
    return min(INPUTS, max(4, _WORK // (cells * _count_per_input(problem))))


def _count_per_input(problem: Problem) -> int:
    """Numbers that one input takes in a pass."""
    _, layers, _, _, heads, _ = problem.params["W_QKV"].shape
    return problem.task.length * max(layers * heads * problem.task.length, problem.classes)


def window(length: int) -> range:
    """Give the positions that are shown."""
    return range(max(0, length - PLACES), length)


def short(text: str, most: int = NAME) -> str:
    """Cut a text from outside, and put � for what a page would obey."""
    whole = plain(text)
    return whole if len(whole) <= most else whole[: most - 1] + "…"
