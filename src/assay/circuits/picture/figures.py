"""Figures of small models for an experiment's page: where heads look, what patching loses, and
scores beside controls.

They take plain arrays, since an experiment's figures are made of what it measured and stored, and
of no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from assay.circuits.picture.bounds import HEADS, PARTS, PLACES, short, window
from assay.circuits.verify.score import Row
from assay.core.figures import Figure, columns


def attention(
    title: str,
    patterns: Mapping[str, Float[np.ndarray, "q k"]],
    tokens: Sequence[str] = (),
    note: str = "",
) -> Figure:
    """Show where heads look, a panel for each; a row asks, a column is looked at. `tokens` names
    positions, of one input.

    At most 16 heads and the last 32 positions are shown.
    """
    rows = []
    for head, pattern in list(patterns.items())[:HEADS]:
        positions = window(len(pattern))
        names = [f"{i}: {short(tokens[i], 8)}" if tokens else str(i) for i in range(len(pattern))]
        rows += [
            (head, names[q], names[k], float(pattern[q, k]))
            for q in positions
            for k in positions
            if k <= q
        ]
    return Figure(
        title,
        columns(("head", "asks", "looked at", "attention"), rows),
        "heatmap",
        x="looked at",
        y="asks",
        color="attention",
        facet="head" if len(patterns) > 1 else None,
        note=note,
        x_title="position looked at",
        y_title="position that asks",
    )


def patching(
    title: str, effects: Float[np.ndarray, "part s"], parts: Sequence[str], note: str = ""
) -> Figure:
    """Show what the answer loses, or regains, by each part at each position, as shares of all there
    is; blue is below 0."""
    positions = range(max(0, effects.shape[1] - PLACES), effects.shape[1])
    rows = [
        (short(part), str(s), float(effects[i, s]))
        for i, part in enumerate(parts[:PARTS])
        for s in positions
    ]
    return Figure(
        title,
        columns(("part", "position", "share"), rows),
        "heatmap",
        x="position",
        y="part",
        color="share",
        note=note,
        x_title="position",
        y_title="part",
    )


def scores(title: str, rows: Mapping[str, Sequence[Row]], note: str = "") -> Figure:
    """Show the parts of a score with their intervals, of an explanation first and of its controls
    after it.

    Of a `Table` found: {"ours": (*found.own.parts, found.own.quality), "another": (*control.parts,
    control.quality), …}. Rows may as well be made of stored numbers; those that are not known are
    left out."""
    listed = [
        (row.name, kind, row.estimate, row.low, row.high)
        for kind, group in rows.items()
        for row in group
        if np.isfinite(row.estimate)
    ]
    return Figure(
        title,
        columns(("part", "explanation", "score", "low", "high"), listed),
        "points",
        x="part",
        y="score",
        color="explanation",
        band=("low", "high"),
        note=note,
        x_title="",
        y_title="score, 0 to 1",
    )
