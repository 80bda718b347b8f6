"""Numbers of all units together, such as a correlation, as one number of each unit.

These are the pseudo-values of the jackknife, n θ - (n - 1) θ without the unit: their mean is the
number, and they spread as it does. With two kinds of units, what the units of both do is added.
Source: Tukey 1958.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
import xarray as xr
from scipy import special, stats

from assay.errors import ClaimError


def _true(x: np.ndarray) -> np.ndarray:
    if not np.isin(x, (0, 1)).all():
        raise ClaimError("not-binary", "a guess or label is 0 or 1, as in f1(a.score > 0.5, a.y)")
    return x == 1


def _corr(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    return x @ y / np.sqrt((x @ x) * (y @ y))


def _auroc(score: np.ndarray, label: np.ndarray) -> float:
    high = _true(label)
    n, m = high.sum(), (~high).sum()
    return (stats.rankdata(score)[high].sum() - n * (n + 1) / 2) / (n * m)


def _smooth_median(x: np.ndarray) -> float:
    """A median that every number moves a little. Source: Harrell and Davis 1982."""
    middle = (len(x) + 1) / 2
    return np.diff(special.betainc(middle, middle, np.linspace(0, 1, len(x) + 1))) @ np.sort(x)


STATISTICS: dict[str, Callable[..., float]] = {
    "median": np.median,
    "std": np.std,
    "corr": _corr,
    "spearman": lambda x, y: _corr(stats.rankdata(x), stats.rankdata(y)),
    "auroc": _auroc,
    "precision": lambda g, y: (_true(g) & _true(y)).sum() / g.sum(),
    "recall": lambda g, y: (_true(g) & _true(y)).sum() / y.sum(),
    "f1": lambda g, y: 2 * (_true(g) & _true(y)).sum() / (g.sum() + y.sum()),
}
ENDS = {"corr": (-1.0, 1.0), "spearman": (-1.0, 1.0)}
ENDS |= dict.fromkeys(("auroc", "precision", "recall", "f1"), (0.0, 1.0))
"""Between which numbers a statistic lies."""


def of_all(name: str, values: Sequence[xr.DataArray], units: Sequence[str]) -> xr.DataArray:
    """A statistic of the units that have all values, as one number of each."""
    arrays = xr.broadcast(*values)
    known = reduce(operator.and_, map(np.isfinite, arrays))

    def value(*arrays: xr.DataArray, of: Callable[..., float] = STATISTICS[name]) -> float:
        flat = [x.to_numpy().ravel() for x in arrays]
        return float(of(*(x[np.isfinite(x)] for x in flat)))

    pairs = [x.where(known) for x in arrays]
    left = partial(value, of=_smooth_median) if name == "median" else value
    return pseudo_values(value(*pairs), left, pairs, units)


def pseudo_values(
    whole: float, function: Callable[..., float], args: Sequence[Any], units: Sequence[str]
) -> xr.DataArray:
    """What a function of arrays comes to, as one number of each unit that they have.

    Args:
        whole: what it comes to with all units.
    """
    out = xr.DataArray(whole)
    for unit in units:
        of = [x.dropna(unit, how="all")[unit].to_numpy() for x in args if _has(x, unit)]
        labels = np.unique(np.concatenate(of)) if of else np.empty(0)
        left = np.array(
            [
                function(*(x.isel({unit: x[unit] != at}) if _has(x, unit) else x for x in args))
                for at in labels
            ]
        )
        if of:
            mean = left.mean() if len(left) else np.nan
            out = out + xr.DataArray((len(left) - 1) * (mean - left), {unit: labels}, (unit,))
    return out


def _has(x: Any, unit: str) -> bool:
    return isinstance(x, xr.DataArray | xr.Dataset) and unit in x.dims
