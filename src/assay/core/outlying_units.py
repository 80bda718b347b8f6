"""Outlying units, which an interval over few units cannot see enough of, and single ones on which
an interval hangs: the warnings next to a verdict."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float

from assay.core.bands import OfMeans
from assay.core.claim_intervals import interval_of_table, outcome_by
from assay.core.claims import Claim, unscale
from assay.core.digits import zeroed
from assay.core.intervals import FEWEST, Interval
from assay.core.nouns import plural
from assay.core.reading import Table
from assay.core.reasons import STRADDLES
from assay.core.stats import mean
from assay.train.rng import normal

RATE = 0.01
"""Of normal units, how often some are called apart."""
MANY = 5
"""From a fifth of the units on, those that lie apart are a kind of their own, and no exceptions."""
CLUSTERS = "form two clusters"
"""What is said of so many."""
LIGHT = 0.5
"""By how many standard errors units that lie apart may move a ratio or a slope, in which a unit may
have next to no weight, without being named."""
_WORLDS, _DRAWN = 4_000, 64
"""Simulated sets of units, and the most units of one: more of them would lie apart at narrower gaps
still."""


def find_outliers(units: Float[np.ndarray, " unit"]) -> Float[np.ndarray, " few"]:
    """Find the fewer units on one side of a gap that normal units have in 1% of cases; none where
    there is no such gap.

    Formula: the widest gap between neighbours over the standard deviation within the two groups
    that it parts (n − 2 degrees of freedom), at the split where that is largest
    Range: with 10% of units far from all others (6 to 36 units), 9 in 10 sets that have one are
    noticed; exponential units are called apart in 6 to 27% of sets, log-normal ones in 12 to 57%
    """
    x = np.sort(units[np.isfinite(units)])
    # numbers that agree to 12 digits are the same, in whatever order they were added up
    if len(x) < FEWEST or x[-1] - x[0] <= 1e-12 * max(abs(x[0]), abs(x[-1])):
        return x[:0]
    gaps = _gaps(x[None])[0]
    k = int(np.argmax(gaps)) + 1
    return x[:0] if gaps[k - 1] <= _usual(min(len(x), _DRAWN)) else min(x[:k], x[k:], key=len)


def warning(claim: Claim, i: Interval) -> str:
    """Name the units of a claim that lie apart, in words; "" where none do, or where exact limits
    count with any units."""
    if claim.bounds or i.bounds or not len(few := find_outliers(i.points)):
        return ""
    points = i.points[np.isfinite(i.points)]
    inner, n = points[~np.isin(points, few)], len(points)
    ours, theirs = (zeroed(unscale(claim.scale, float(np.median(x)))) for x in (few, inner))
    if MANY * len(few) >= n:  # so many are no exception
        steps = np.diff(np.sort(points))
        gap = max(few.min() - inner.max(), inner.min() - few.max())
        if gap < 1.5 * steps[steps > 1e-9 * np.ptp(points)].min():
            return ""  # next to each other on the grid of a coarse measure, such as counts
        near = f"{len(few)} near {ours:.3g} and {n - len(few)} near {theirs:.3g}"
        words = f"the {n} {plural(claim.units[0], n)} {CLUSTERS}, {near}"
        return f"{words}: if they are of two kinds, the mean describes neither"
    are = "is an outlier" if len(few) == 1 else "are outliers"
    of = f"{len(few)} of {n} {plural(claim.units[0], n)}"
    place = "at" if len(few) == 1 else "with a median of"
    return f"{of} {are}, {place} {ours:.3g}, while the median of the others is {theirs:.3g}"


def idle(claim: Claim, data: Table, i: Interval, level: float) -> bool:
    """Whether a number without its outliers has the same two digits and the same outcome; of a
    ratio or a slope, whether it moves little."""
    few = find_outliers(i.points)
    if not len(few) or MANY * len(few) >= len(i.points):
        return False
    is_near = ~np.isin(i.points, few)
    rows = {name: x[~np.isnan(x).reshape(len(x), -1).all(1)] for name, x in data.terms.items()}
    if any(len(x) != len(is_near) for x in rows.values()):
        return False
    table = Table({name: x[is_near] for name, x in rows.items()}, data.levels)
    without = interval_of_table(claim, table, level, draws=1)
    first, second = (f"{unscale(claim.scale, x.estimate):.2g}" for x in (i, without))
    moved = abs(without.estimate - i.estimate)
    is_light = claim.statistic is not mean and moved**2 < LIGHT**2 * i.variance
    return (first == second or is_light) and outcome_by(claim, i) == outcome_by(claim, without)


def decisive(claim: Claim, data: Table, reason: str, level: float) -> str:
    """Which unit alone keeps an interval from being decided, in words; "" where none or several
    do."""
    unit, outcomes = claim.units[0], {}
    if reason != STRADDLES or len(claim.units) > 1 or isinstance(claim.statistic, OfMeans):
        return ""
    for k, name in enumerate(data.levels[unit]):
        without_unit = Table({t: np.delete(x, k, 0) for t, x in data.terms.items()}, data.levels)
        outcomes[name] = outcome_by(claim, interval_of_table(claim, without_unit, level, draws=1))
    deciding = [(name, came) for name, came in outcomes.items() if came != "undecided"]
    if len(deciding) != 1:
        return ""
    ((name, came),) = deciding
    return f"without {unit} {name} it would {came.removesuffix('s')}"


def _gaps(x: Float[np.ndarray, "set unit"]) -> Float[np.ndarray, "set split"]:
    """Each gap between sorted neighbours over the spread within the groups at its sides."""
    n = x.shape[1]
    k = np.arange(1, n)
    x = x - x.mean(1, keepdims=True)
    first, second = x.cumsum(1), (x * x).cumsum(1)
    below = second[:, :-1] - first[:, :-1] ** 2 / k
    right = second[:, -1:] - second[:, :-1] - first[:, :-1] ** 2 / (n - k)  # sums to 0 over both
    least = 1e-24 * second[:, -1:]  # what rounding leaves of none
    return np.diff(x) / np.sqrt(np.maximum(below + right, least) / (n - 2))


@lru_cache(maxsize=64)
def _usual(n: int) -> float:
    """The gap that normal units exceed in 1% of sets."""
    samples = np.sort(normal(np.array([0]), "apart", n, (_WORLDS, n))[0].astype(np.float64), axis=1)
    return float(np.quantile(_gaps(samples).max(1), 1 - RATE))
