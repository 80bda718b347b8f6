"""Across: statistics of two measures over all units, as one number for each unit whose mean is the
statistic: its value, and how far this unit moves it. Intervals of means are then those of the
statistic, to first order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.core.bands import rank_correlation
from assay.core.dealing import DEAL
from assay.core.errors import ClaimError
from assay.core.heavy import xr
from assay.core.intervals import Means
from assay.core.stats import mean

Rows = Float[np.ndarray, " unit"]


@dataclass(frozen=True)
class OfAll:
    """The mean of what units add to a single number of all of them, which lies between two ends: a
    correlation, or an AUROC. No unit has such a number by itself."""

    ends: tuple[float, float]

    def __call__(self, m: Means) -> np.ndarray:
        """Give the statistic of these means, [draw]."""
        return mean(m)


ENDS = {"corr": (-1.0, 1.0), "spearman": (-1.0, 1.0), "auroc": (0.0, 1.0)}
"""The least and the greatest value of each statistic that has both."""


def corr(x: Any, y: Any, apart: Sequence[str] = ()) -> Any:
    """Pearson's correlation.

    Formula: r + (n − 1)(mean of r without one unit − r without this one). What a unit adds to first
    order, r + z_x z_y − r (z_x² + z_y²) / 2, is far less where one unit makes the correlation
    Source: Efron, The jackknife, the bootstrap and other resampling plans (1982)
    """
    return _by_unit("corr", _corr, x, y, apart)


def spearman(x: Any, y: Any, apart: Sequence[str] = ()) -> Any:
    """Spearman's rank correlation, ties at their mean rank.

    Formula: r + (n − 1)(mean of r without one unit − r without this one)
    Source: Efron, The jackknife, the bootstrap and other resampling plans (1982)
    """
    return _by_unit("spearman", _spearman, x, y, apart)


def corr_over(x: Any, y: Any, over: Sequence[str]) -> Any:
    """Pearson's correlation over levels, such as those of heads, of the means over all units.

    Formula: r + (n − 1)(mean of r without one unit − r without this one)
    Source: Efron, The jackknife, the bootstrap and other resampling plans (1982)
    """
    if np.ndim(x) == np.ndim(y) == 0 and not hasattr(x, "dims"):
        return np.nan
    first, second = xr.broadcast(x, y)
    units = [d for d in first.dims if d not in over]
    both_known = (first.notnull() & second.notnull()).all([*over])
    first, second = first.where(both_known), second.where(both_known)
    means, n = [a.mean(units) for a in (first, second)], int(both_known.sum())
    if not all(float(m.std()) for m in means):
        return both_known.where(False)
    left = [m + (m - a) / max(n - 1, 1) for m, a in zip(means, (first, second), strict=True)]
    whole, without = (xr.corr(a, b, dim=[*over]) for a, b in (means, left))
    added = both_known.where(both_known).astype(float)
    added.values[both_known.values] = _added(
        float(whole), without.transpose(*added.dims).values[both_known.values]
    )
    return added


def auroc(score: Any, label: Any, apart: Sequence[str] = ()) -> Any:
    """The probability that a unit of the higher label has the higher score, ties counting half.

    Formula: A + (V − A) / p of each unit, V the share of the other label that it is on the right
    side of, p the share of its own label
    Source: DeLong et al., Comparing the areas under two or more correlated ROC curves, Biometrics
    44 (1988)
    """
    return _by_unit("auroc", auroc_by_unit, score, label, apart)


def std(x: Any) -> Any:
    """The standard deviation over units, of all of them as they are.

    Formula: s + (n − 1)(mean of s without one unit − s without this one)
    Source: Efron, The jackknife, the bootstrap and other resampling plans (1982)
    """

    def spread(a: Rows, _: Rows) -> Rows:
        (squares,) = _squares_without((a, a))
        return _added(float(a.std()), np.sqrt(squares / max(len(a) - 1, 1)))

    return _by_unit("std", spread, x, x, ())


RATES = {
    "precision": lambda both, guessed, labelled: both / guessed,
    "recall": lambda both, guessed, labelled: both / labelled,
    "f1": lambda both, guessed, labelled: 2 * both / (guessed + labelled),
}
"""Rates of a guess, by three shares of all units: those guessed and labelled, those guessed, and
those labelled. They are ratios of these shares, and not means of units."""


def counted(guess: Any, label: Any) -> tuple[Any, Any, Any]:
    """Count for each unit, as 0 or 1, whether it is guessed and labelled, guessed, and labelled, by
    the higher of two labels; NaN where it has no guess or no label. Raises: ClaimError for labels
    of more than two values."""
    if not all(isinstance(a, xr.DataArray) for a in (guess, label)):
        return np.nan, np.nan, np.nan  # tried on numbers
    kinds = np.unique(label.values[np.isfinite(label.values)])
    if len(kinds) > 2:
        raise ClaimError(f"a label of two values is needed, got {len(kinds)} of them")
    guessed, labelled = xr.broadcast(guess, (label == kinds.max(initial=1.0)).astype(float))
    is_counted = guessed.notnull() & label.notnull() & (len(kinds) == 2)
    return tuple(x.where(is_counted) for x in (guessed * labelled, guessed, labelled))


def _corr(x: Rows, y: Rows) -> Rows:
    spread = x.std() * y.std()
    if len(x) < 3 or not spread > 0:
        return np.full(len(x), np.nan)
    r = float(((x - x.mean()) * (y - y.mean())).mean() / spread)
    xx, yy, xy = _squares_without((x, x), (y, y), (x, y))
    with np.errstate(all="ignore"):  # of numbers that are all the same without one unit
        return _added(r, np.clip(xy / np.sqrt(xx * yy), -1, 1))


def _squares_without(*pairs: tuple[Rows, Rows]) -> list[Rows]:
    """The sums of products of deviations from the means, without each unit."""
    n, products = len(pairs[0][0]), []
    for x, y in pairs:
        a, b = x - x.mean(), y - y.mean()
        rest = a @ b - n / max(n - 1, 1) * a * b
        least = 1e-14 * np.sqrt((a @ a) * (b @ b))  # what rounding leaves of none
        products.append(np.where(np.abs(rest) > least, rest, 0.0))
    return products


def _added(whole: float, without: Any) -> Any:
    """What each unit adds to a statistic, given what it is without each, or 0 where there is none
    without it; the mean is the whole."""
    without = np.where(np.isfinite(without), without, 0.0)
    return whole + (without.size - 1) * (without.mean() - without)


def _spearman(x: Rows, y: Rows) -> Rows:
    n, every = len(x), np.arange(len(x))
    if n < 3:
        return np.full(n, np.nan)
    others = np.array([every[every != i] for i in every])
    return _added(float(rank_correlation(x, y)), rank_correlation(x[others], y[others]))


def auroc_by_unit(score: Rows, label: Rows) -> Rows:
    """Compute of each unit what `auroc` takes the mean of. Raises: ClaimError for labels of more
    than two values."""
    kinds = np.unique(label)
    if len(kinds) > 2:
        raise ClaimError(
            f"auroc(score, label) takes a label of two values, got {len(kinds)} of them"
        )
    if len(kinds) < 2:
        return np.full(len(score), np.nan)
    high = label == kinds[1]
    above = np.sign(score[high][:, None] - score[~high]) / 2 + 0.5
    share = np.empty(len(score))
    share[high], share[~high] = above.mean(1), above.mean(0)
    area = float(above.mean())
    return area + (share - area) / np.where(high, high.mean(), 1 - high.mean())


def _by_unit(
    name: str, statistic: Callable[[Rows, Rows], Rows], x: Any, y: Any, apart: Sequence[str]
) -> Any:
    """A statistic over the units that are no seeds, of each seed, and each level of the dimensions
    `apart`, by itself; over seeds where there are no others. Of single numbers, of which there is
    none, NaN. Raises: ClaimError for anything that is no table of units."""
    if np.ndim(x) == np.ndim(y) == 0 and not hasattr(x, "dims"):
        return np.nan
    if not all(isinstance(a, xr.DataArray) for a in (x, y)):
        raise ClaimError(f"{name}(…) takes measures over units")
    first, second = xr.broadcast(x, y)
    # what only one of them has, such as the level of a sweep, is taken by itself
    dims = [d for d in first.dims if d not in (DEAL, *apart)]
    units = [d for d in dims if d != "seed" and d in x.dims and d in y.dims]
    units = units or [d for d in dims if d != "seed"] or dims
    if len(units) != 1:
        raise ClaimError(f"{name}(…) is over one kind of unit, got {', '.join(map(str, units))}")
    (unit,) = units
    other_dims = [d for d in first.dims if d != unit]
    a, b = (z.transpose(*other_dims, unit).values for z in (first, second))
    whole = np.full(a.shape, np.nan)
    for i in np.ndindex(a.shape[:-1]):
        both = np.isfinite(a[i]) & np.isfinite(b[i])
        if both.any():
            whole[(*i, both)] = statistic(a[i][both], b[i][both])
    return first.transpose(*other_dims, unit).copy(data=whole).transpose(*first.dims)
