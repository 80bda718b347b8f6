"""Numbers of all units together, such as a correlation, as one number of each unit.

These are the pseudo-values of the jackknife, n θ - (n - 1) θ without the unit: their mean is the
number, and they spread as it does. With two kinds of units, what the units of both do is added.
Source: Tukey 1958.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

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


STATISTICS: dict[str, Callable[..., float]] = {
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


def of_all(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    """A statistic of the units that have all values, as one number of each.

    Args:
        arrays: an axis for each kind of unit.
    """
    arrays = np.broadcast_arrays(*arrays)
    whole = np.isfinite(sum(arrays))
    axes = range(whole.ndim)
    known = [np.asarray(whole.any(tuple(a for a in axes if a != axis))) for axis in axes]

    def without(axis: int, k: int) -> float:
        left = np.delete(whole, k, axis)
        return STATISTICS[name](*(np.delete(x, k, axis)[left] for x in arrays))

    value = STATISTICS[name](*(x[whole] for x in arrays)) if whole.any() else np.nan
    return pseudo_values(value, without, known)


def pseudo_values(
    whole: float, without: Callable[[int, int], float], known: Sequence[np.ndarray]
) -> np.ndarray:
    """A number of all units as one number of each.

    Args:
        without: the number without unit k of a kind.
        known: of each kind, which units have a part in it.
    """
    out = np.full([1] * len(known), float(whole))
    for axis, there in enumerate(known):
        if len(there) > 1:
            left = np.full(len(there), np.nan)
            left[there] = [without(axis, int(k)) for k in np.flatnonzero(there)]
            off = (there.sum() - 1) * (left[there].mean() - left)
            out = out + np.expand_dims(off, [a for a in range(len(known)) if a != axis])
    return out
