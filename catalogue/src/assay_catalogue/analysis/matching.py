"""Like compared with like: what is left of a number where each unit is compared with its nearest in
what it should depend on.

A partial correlation asks the same, but trusts that the number rises or falls in a straight line
(or in ranks) with each covariate. Where it does not, it reports an effect that is not there;
nearest neighbours need no such law."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int, Shaped

from assay.core.errors import ClaimError
from assay.core.heavy import scipy

Covariates = Float[np.ndarray, "unit covariate"]


def donors(
    covariates: Covariates, group: Shaped[np.ndarray, " unit"], k: int
) -> Int[np.ndarray, "unit k"]:
    """For each unit the k units of other groups that are nearest to it, nearest first.

    Formula: Euclidean distance of covariates, each divided by its standard deviation over all
    units; ties by position.
    Raises: ClaimError where a unit has fewer than k others, or a covariate is not a number.
    """
    if k < 1 or not np.isfinite(covariates).all():
        raise ClaimError(f"donors need k of at least 1 and covariates that are numbers, got k={k}")
    spread = covariates.std(0)
    # A covariate that is one number throughout tells nobody apart, and must not divide by 0.
    scaled = covariates / np.where(spread > 0, spread, 1.0)
    distance = ((scaled[:, None] - scaled[None]) ** 2).sum(-1)
    # Infinitely far: nor is a unit its own donor, though at distance 0.
    distance[group[:, None] == group[None]] = np.inf
    if np.isfinite(distance).sum(1).min(initial=k) < k:
        raise ClaimError(
            f"each unit needs {k} donors in other groups; there are too few units or groups"
        )
    return np.argsort(distance, axis=1, kind="stable")[:, :k]


def beyond(
    values: Float[np.ndarray, " unit"], donor: Int[np.ndarray, "unit k"]
) -> Float[np.ndarray, " unit"]:
    """What each unit's value has beyond the mean of its donors', in the unit of the values."""
    return values - values[donor].mean(1)


def spearman(x: Float[np.ndarray, " unit"], y: Float[np.ndarray, " unit"]) -> float:
    """Rank correlation of x and y, ties at the mean of their ranks; scipy's to the last bit,
    without the p-value that takes ten times as long.

    Range: −1 to 1; NaN where x or y is one number throughout, or has a NaN.
    """
    if len(x) < 2 or np.isnan(x).any() or np.isnan(y).any():
        return float("nan")
    ranks = np.stack([_ranks(x), _ranks(y)])
    ranks -= ranks.mean(1, keepdims=True)
    products = np.dot(ranks, ranks.T) * (1 / (len(x) - 1))
    (a, across), (_, b) = products.tolist()
    return (
        # Two divisions in this order, as in SciPy: one by √(a b) may differ in the last bit.
        min(max(across / math.sqrt(b) / math.sqrt(a), -1.0), 1.0)
        if a > 0 and b > 0
        else float("nan")
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, times = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - (times - 1) / 2)[inverse]  # type: ignore[no-any-return]


def partial_spearman(
    x: Float[np.ndarray, " unit"], y: Float[np.ndarray, " unit"], covariates: Covariates
) -> float:
    """Rank correlation of x and y with the covariates' ranks taken out in a straight line.

    Formula: Pearson's correlation of the residuals of rank x and rank y after least squares on the
    covariates' ranks and 1
    Range: −1 to 1; NaN where the covariates leave nothing of x or of y
    """
    ranks = np.column_stack([np.ones(len(x)), *(scipy.stats.rankdata(c) for c in covariates.T)])

    def compute_residual(values: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " unit"]:
        rank = scipy.stats.rankdata(values)
        return rank - ranks @ np.linalg.lstsq(ranks, rank, rcond=None)[0]

    a, b = compute_residual(x), compute_residual(y)
    size = np.sqrt((a @ a) * (b @ b))
    # Residuals that are rounding alone would correlate at random.
    return float(a @ b / size) if size > 1e-9 * len(x) else float("nan")
