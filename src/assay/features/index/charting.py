"""Charting: columns of an index's features as what a chart draws: points, grids of counts, spreads
over decades, quantiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from assay.features.index.reader import Index


def quantiles(
    index: Index, features: Sequence[int], values: Sequence[float]
) -> Float[np.ndarray, " n"]:
    """Tell how unusual an activation is: the share of all tokens at which the feature is as
    strong or weaker, of each pair.

    From the stored histogram of 50 bins up to the maximum: exact at the edges of bins, and a
    straight line between them."""
    sql = (
        "SELECT feature, density, firings, maximum, histogram FROM features WHERE "
        "list_contains(?, feature)"
    )
    known = {row["feature"]: row for row in index.query(sql, [list(dict.fromkeys(features))])}
    out = np.ones(len(values))
    for i, (feature, value) in enumerate(zip(features, values, strict=True)):
        row = known[feature]
        if row["firings"]:
            below = np.cumsum([0, *row["histogram"]]) / row["firings"]
            edges = np.linspace(0, row["maximum"], len(below))
            out[i] = 1 - row["density"] * (1 - np.interp(value, edges, below))
    return out
