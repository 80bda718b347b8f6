"""Correlations that stream: of every feature with every neuron, or of two dictionaries' features,
over any number of chunks.

Centred sums are merged chunk by chunk, so a mean that is large beside the spread costs no digits,
as raw sums of squares would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class CoMoments:
    """Means and centred sums of what has been seen so far, in float64; the arrays are changed in
    place."""

    rows: Int[np.ndarray, "1"]
    mean_x: Float[np.ndarray, " n"]
    mean_y: Float[np.ndarray, " m"]
    xx: Float[np.ndarray, " n"]
    yy: Float[np.ndarray, " m"]
    xy: Float[np.ndarray, "n m"]


def start(n: int, m: int) -> CoMoments:
    """Moments of nothing, for n columns of x and m of y."""
    return CoMoments(
        np.zeros(1, np.int64), np.zeros(n), np.zeros(m), np.zeros(n), np.zeros(m), np.zeros((n, m))
    )


def update(sums: CoMoments, x: Float[np.ndarray, "b n"], y: Float[np.ndarray, "b m"]) -> None:
    """Add one chunk of rows to `sums`.

    Formula: with counts a, b and differences of means δ, each centred sum grows by the chunk's own
    and by δ_x δ_y · ab/(a + b)
    Source: Chan, Golub and LeVeque, Algorithms for computing the sample variance (1983)
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not len(x):
        return
    here_x, here_y = x.mean(0), y.mean(0)
    gap_x, gap_y, count = here_x - sums.mean_x, here_y - sums.mean_y, int(sums.rows[0])
    weight = count * len(x) / (count + len(x))
    x, y = x - here_x, y - here_y
    sums.xx[:] += (x * x).sum(0) + weight * gap_x**2
    sums.yy[:] += (y * y).sum(0) + weight * gap_y**2
    sums.xy[:] += x.T @ y + weight * np.outer(gap_x, gap_y)
    sums.mean_x[:] += gap_x * (len(x) / (count + len(x)))
    sums.mean_y[:] += gap_y * (len(y) / (count + len(y)))
    sums.rows[0] += len(x)


def pearson(sums: CoMoments) -> Float[np.ndarray, "n m"]:
    """Correlation of every column of x with every column of y.

    Formula: Σ(x − x̄)(y − ȳ) / √(Σ(x − x̄)² Σ(y − ȳ)²)
    Range: −1 to 1; NaN where a column does not vary but for rounding
    Better: neither
    """
    rows = float(sums.rows[0])
    x, y = (
        np.where(s > rows * (1e-12 * mean) ** 2, np.sqrt(s), np.nan)
        for s, mean in ((sums.xx, sums.mean_x), (sums.yy, sums.mean_y))
    )
    return sums.xy / (x[:, None] * y[None])
