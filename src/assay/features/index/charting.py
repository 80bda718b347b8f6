"""Charting: columns of an index's features as what a chart draws: points, grids of counts, spreads
over decades, quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.features.index.reader import Index
from assay.features.index.values import Condition, Row, check_numeric, filtering


def points(
    index: Index, x: str, y: str, where: Sequence[Condition] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature, x and y of every feature that has both. Raises: DataError for a column that is
    no number."""
    clause, values = _both(x, y, where)
    sql = f'SELECT feature, "{x}" AS a, "{y}" AS b FROM features{clause} ORDER BY feature'
    arrays = index.arrays(sql, values)
    return (
        np.asarray(arrays["feature"]),
        np.asarray(arrays["a"], np.float64),
        np.asarray(arrays["b"], np.float64),
    )


def binned(
    index: Index,
    x: str,
    y: str,
    bins: int,
    log_x: bool = False,
    log_y: bool = False,
    where: Sequence[Condition] = (),
) -> list[Row]:
    """Counts of features on a grid of `bins` × `bins` cells between the extremes: i, j, count,
    one feature of the cell.

    On a logarithmic axis only values above 0 count. Raises: DataError for a column that is no
    number."""
    clause, values = _both(x, y, where)
    for name, log in ((x, log_x), (y, log_y)):
        clause += f' AND "{name}" > 0' if log else ""
    a, b = (
        f'ln("{name}")' if log else f'"{name}"::DOUBLE' for name, log in ((x, log_x), (y, log_y))
    )
    return index.query(
        f"WITH p AS (SELECT feature, {a} AS a, {b} AS b FROM features{clause}), e AS (SELECT "
        "min(a) AS a0, max(a) AS a1, min(b) AS b0, max(b) AS b1 FROM p) SELECT "
        f"least({bins - 1}, floor({bins} * (a - a0) / nullif(a1 - a0, 0)))::INTEGER AS i, "
        f"least({bins - 1}, floor({bins} * (b - b0) / nullif(b1 - b0, 0)))::INTEGER AS j, "
        "count(*) AS count, min(feature) AS feature, any_value(a0) AS a0, any_value(a1) AS "
        "a1, any_value(b0) AS b0, any_value(b1) AS b1 FROM p, e GROUP BY i, j ORDER BY i, j",
        values,
    )  # type: ignore[return-value]


def _both(x: str, y: str, where: Sequence[Condition]) -> tuple[str, list[Any]]:
    check_numeric(x, y)
    clause, values = filtering(where)
    return f'{clause or " WHERE true"} AND "{x}" IS NOT NULL AND "{y}" IS NOT NULL', values


def spread(index: Index, column: str, per_decade: int = 4) -> list[tuple[int, int]]:
    """Count features by the logarithm of a column: (i, n) says that n lie from
    10^(i/per_decade) up to the next; only above 0.

    Raises: DataError for a column that is no number.
    """
    check_numeric(column)
    rows = index.query(
        f'SELECT floor({per_decade} * log10("{column}") + 1e-9)::INTEGER AS i, count(*) AS n '
        f'FROM features WHERE "{column}" > 0 '
        "GROUP BY i ORDER BY i"
    )
    return [(row["i"], row["n"]) for row in rows]


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
