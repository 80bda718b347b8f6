"""Map: a table of numbers with a name at each row and column, small enough to be looked at;
attention, patching, OV and QK as such.

How much of a model is shown, whatever its size, and what texts from outside are cut to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.heavy import torch
from assay.core.plain import plain
from assay_catalogue.circuits.find.cutting import without_parts
from assay_catalogue.circuits.find.question import Question
from assay_catalogue.circuits.find.tables import Kind, ov_table, qk_table
from assay_catalogue.circuits.find.terms import Source
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.subjects.parts import Part

MEAN = "mean over inputs"


@dataclass(frozen=True)
class Map:
    """Numbers at rows and columns that have names."""

    title: str
    down: str
    """What a row is."""
    across: str
    """What a column is."""
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    """Row by row; None where there is nothing."""
    say: str
    """What one number says, a sentence with {row}, {column} and {value} in it, {r} and {c} for the
    positions of the two."""
    of: str = ""
    """The part it is of."""
    first: int = 0
    """The position of the first column, where columns are positions."""

    @property
    def largest(self) -> float:
        """The largest number in size; 0 where there is none."""
        return max((abs(x) for row in self.values for x in row if x is not None), default=0.0)


def attention(
    pattern: Float[np.ndarray, "s s"], names: Sequence[str], title: str, head: Part
) -> Map:
    """Show where each position looks; later ones are not there to be seen."""
    positions = window(len(pattern))
    values = tuple(
        tuple(float(pattern[q, k]) if k <= q else None for k in positions) for q in positions
    )
    labels = tuple(names[i] for i in positions)
    say = (
        "{row} at {r} looks at {column} at {c}: {value}"
        if title != MEAN
        else "{row} looks at {column}: {value} on average"
    )
    return Map(
        title, "asks", "is looked at", labels, labels, values, say, str(head), positions.start
    )


def patching(
    q: Question, parts: Sequence[Part], rows: int, *, restored: bool
) -> Float[torch.Tensor, "part s"]:
    """Give what the number loses, or regains, by each part at each position that is shown, as a
    share of all there is.

    Raises: DataError where there is nothing to explain.
    """
    span, positions = q.span(), window(q.tokens.shape[1])
    cuts = torch.zeros(
        len(parts) * len(positions), len(q.parts), q.tokens.shape[1], dtype=torch.bool
    )
    for i, (part, place) in enumerate((p, s) for p in parts for s in positions):
        cuts[i, q.parts.index(part), place] = True
    numbers = without_parts(q, cuts, restored=restored, rows=rows)
    start = (
        without_parts(q, torch.zeros_like(cuts[:1]), restored=True) if restored else q.full[:, None]
    )
    effect = (numbers - start) if restored else (start - numbers)
    return (effect.mean(2) / span[:, None])[0].unflatten(0, (len(parts), len(positions)))


def patched(
    values: Float[torch.Tensor, "part s"], parts: Sequence[Part], length: int, *, restored: bool
) -> Map:
    """Show such numbers."""
    title = "Given back to a pass on other inputs" if restored else "Taken from another input"
    labels = tuple(f"position {i}" for i in window(length))
    say = (
        "{row} at {column} gives back {value} of all there is"
        if restored
        else "without {row} at {column} {value} of all there is gets lost"
    )
    return Map(
        title,
        "part",
        "position",
        tuple(map(str, parts)),
        labels,
        _rows(values),
        say,
        first=window(length).start,
    )


def written(problem: Problem, head: Part) -> Map | None:
    """Show what attending to each token adds to each logit through a head; None where tokens or
    answers are too many."""
    task = problem.task
    if max(len(task.tokens), problem.classes) > TOKENS:
        return None
    values = ov_table(problem.params, head)[0]
    return Map(
        "OV: what it adds to a logit for looking at a token",
        "is looked at",
        "logit of",
        list_names(task.tokens, len(values)),
        list_names(task.answers, problem.classes),
        _rows(values),
        "looking at {row} adds {value} to the logit of {column}",
        str(head),
    )


def compared(problem: Problem, head: Part, asks: Source, finds: Source) -> Map | None:
    """Show a head's score of every key for every query, each a token or a position, or a token that
    an earlier head moved.

    None where the two are nothing of the kind, or too many.
    """
    sides = [_side(problem, x) for x in (asks, finds)]
    if any(side is None for side in sides):
        return None
    (query, of_query, query_names), (key, of_key, met) = sides  # type: ignore[misc]
    values = qk_table(problem.params, head, query, key)[0]
    title = f"QK: score of {of_key} for {of_query}" + (
        "" if "W_pos" in problem.params else ", at the same place"
    )
    return Map(
        title,
        "asks",
        "is found",
        query_names,
        met,
        _rows(values),
        "{row} asks, {column} is found: score {value}",
        str(head),
    )


def list_names(names: Sequence[str], n: int) -> tuple[str, ...]:
    """Give n names, short ones, and numbers where there are too few."""
    return tuple(short(names[i]) if i < len(names) else str(i) for i in range(n))


def _side(
    problem: Problem, source: Source
) -> tuple[tuple[Kind, list[Part]], str, tuple[str, ...]] | None:
    """What is moved to a query or a key, what that is called, and its names."""
    tokens, length = problem.task.tokens, problem.task.length
    if source is None or source.kind == "mlp":
        return None
    if source.kind == "pos":
        names = tuple(f"position {i}" for i in range(problem.params["W_pos"].shape[1]))
        return (("pos", []), "a position", names) if max(length, len(names)) <= TOKENS else None
    if len(tokens) > TOKENS:
        return None
    names = list_names(tokens, problem.params["W_E"].shape[1])
    return (
        (("embed", []), "a token", names)
        if source.kind == "embed"
        else (("embed", [source]), f"a token that {source} moved", names)
    )


def _rows(values: torch.Tensor) -> tuple[tuple[float | None, ...], ...]:
    return tuple(
        tuple(float(x) if np.isfinite(x) else None for x in row) for row in values.double().numpy()
    )


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
