"""Clustered: how wide an interval has to be where units come in groups, such as the prompts of one
template, or follow each other in time; `dependence.py` finds which groups there may be.

A group counts as one independent unit, however many units are in it: each is left out as a whole.
Cells of two crossed groupings, such as seeds and documents, get the variance of both, and that of
cells, which both count, is taken off once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from assay.core.heavy import scipy
from assay.core.intervals import (
    Statistic,
    deciding,
    freedom,
    jackknife,
    student_limits,
    third_cumulant,
)

FEWEST_EFFECTIVE = 2.0
"""Independent units that a series or groups must be worth for an interval: Student's t of less than
one degree of freedom gives limits of any size."""


class Limits(NamedTuple):
    """An interval that allows for groups; infinite where they are too few for one."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


NONE = Limits(-math.inf, math.inf)


def clustered(
    terms: Mapping[str, Shaped[np.ndarray, "cell ..."]],
    statistic: Statistic,
    groups: Sequence[Int[np.ndarray, " cell"]],
    level: float = 0.95,
) -> Limits:
    """Compute the interval of a statistic of means whose cells come in groups.

    Args:
        terms: {name: [cell, ...]}, without missing numbers.
        statistic: means of the terms → [draw].
        groups: of each cell, by one or two crossed groupings.
        level: of the interval, 0 to 1.
    Formula: the hull of t and of Hall's t, with V = V_g, or of two groupings max(V_g + V_h - V_gh,
    V_g, V_h), each a jackknife that leaves out whole groups; G - 1 degrees of freedom, G = (sum
    w^2)^2 / sum w^4, w the share of cells in a group, of two groupings Satterthwaite's. t alone
    where G, rounded, is below six for a grouping; no interval where it is below two.
    Source: Cameron, Gelbach and Miller, Robust Inference With Multiway Clustering, 2011; MacKinnon,
    Nielsen and Webb, Leverage, Influence, and the Jackknife in Clustered Regression Models, 2023;
    Carter, Schnepel and Steigerwald, Asymptotic Behavior of a t-Test Robust to Cluster
    Heterogeneity, 2017 (unequal groups).
    Example:
        >>> import numpy as np
        >>> from assay.core.clustered import clustered
        >>> from assay.core.stats import mean
        >>> twice = {"x": np.array([1.0, 1.0, 3.0, 3.0, 5.0, 5.0])}
        >>> limits = clustered(twice, mean, [np.array([0, 0, 1, 1, 2, 2])])
        >>> print(round(limits.low, 3), round(limits.high, 3))  # 3 -/+ 4.303 · 2 / √3
        -1.968 7.968
    """
    left_out = [_without_each(terms, statistic, of) for of in groups]
    effective = tuple(_effective(of) for of in groups)
    if min(map(len, left_out)) < 2 or min(effective) < FEWEST_EFFECTIVE:
        return NONE
    if not all(np.isfinite(x).all() for x in left_out):
        return NONE
    parts = tuple(map(jackknife, left_out))
    variance = parts[0]
    if len(groups) == 2:
        both = _without_each(terms, statistic, _crossed(*groups))
        variance = max(parts[0] + parts[1] - jackknife(both), *parts)
    theta = number(terms, statistic)
    df = freedom(variance, parts, effective)
    t = float(scipy.special.stdtrit(df, (1 + level) / 2))
    third = sum(map(third_cumulant, left_out))
    ends = getattr(statistic, "ends", None)
    student = student_limits(theta, np.float64(variance), third, t, ends)
    return Limits(*map(float, deciding(student, [*map(round, effective)])))


def serial(x: Float[np.ndarray, " unit"], level: float = 0.95) -> Limits:
    """Compute the interval of a mean of numbers that follow each other, each like the one before.

    Args:
        x: numbers in their order.
        level: of the interval, 0 to 1.
    Formula: n' = n (1 - r) / (1 + r) independent units, r the correlation of neighbours, corrected
    for its bias; the variance is the sum of squares over n, divided by n' - 1, of n' - 1 degrees
    of freedom.
    Source: Zwiers and von Storch, Taking Serial Correlation into Account in Tests of the Mean,
    1995; Marriott and Pope, Bias in the Estimation of Autocorrelations, 1954.
    Example:
        >>> import numpy as np
        >>> from assay.core.clustered import serial
        >>> slow, quick = np.sin(np.arange(40) / 6), np.sin(np.arange(40) * 6)
        >>> serial(slow).high > 2 * serial(quick).high
        True
    """
    n, off = len(x), x - x.mean()
    squares = float(off @ off)
    if n < 6 or not squares:
        return NONE
    r = min(0.99, max(0.0, (n * neighbours(x) + 1) / (n - 4)))
    effective = n * (1 - r) / (1 + r)
    if effective < FEWEST_EFFECTIVE:
        return NONE
    t = float(scipy.special.stdtrit(effective - 1, (1 + level) / 2))
    half = t * math.sqrt(squares / n / (effective - 1))
    return Limits(float(x.mean()) - half, float(x.mean()) + half)


def neighbours(x: Float[np.ndarray, " unit"]) -> float:
    """Correlate each number with the next, from -1 to 1; 0 where all are equal."""
    off = x - x.mean()
    squares = float(off @ off)
    return float(off[:-1] @ off[1:]) / squares if squares else 0.0


def pseudo_values(
    terms: Mapping[str, Shaped[np.ndarray, "cell ..."]],
    statistic: Statistic,
    units: Int[np.ndarray, " cell"],
) -> Float[np.ndarray, " unit"]:
    """Compute what each unit adds to a statistic: of a mean, the unit's own number.

    Formula: n theta - (n - 1) theta_(-i)
    Source: Tukey, Bias and Confidence in Not Quite Large Samples, 1958.
    """
    left_out = _without_each(terms, statistic, units)
    n = len(left_out)
    return n * number(terms, statistic) - (n - 1) * left_out


def number(terms: Mapping[str, np.ndarray], statistic: Statistic) -> float:
    """Compute a statistic of the means of these cells."""
    return float(np.asarray(statistic({k: x.mean(0, keepdims=True) for k, x in terms.items()}))[0])


def _without_each(
    terms: Mapping[str, np.ndarray], statistic: Statistic, of: np.ndarray
) -> np.ndarray:
    """The statistic without each of the groups, which are numbered from 0."""
    counts = np.bincount(of).astype(float)
    means = {}
    for name, x in terms.items():
        sums = np.zeros((len(counts), *x.shape[1:]))
        np.add.at(sums, of, x)
        left = (len(x) - counts).reshape(-1, *(1,) * (x.ndim - 1))
        with np.errstate(all="ignore"):  # of one group nothing is left
            means[name] = (x.sum(0) - sums) / left
    with np.errstate(all="ignore"):
        return np.asarray(statistic(means), dtype=float)


def _effective(of: np.ndarray) -> float:
    """How many groups of equal size these are worth."""
    shares = np.bincount(of) / len(of)
    return float((shares**2).sum() ** 2 / (shares**4).sum())


def _crossed(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The groups of cells that two groupings have in common."""
    return np.unique(a * (b.max() + 1) + b, return_inverse=True)[1]
