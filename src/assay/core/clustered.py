"""Clustered: how wide an interval has to be where units come in groups, such as the prompts of one
template, or follow each other in time; `dependence.py` finds which groups there may be.

A group counts as one independent unit, however many units are in it: each is left out as a whole.
Cells of two crossed groupings, such as seeds and documents, get the variance of both, and that of
cells, which both count, is taken off once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped

from assay.core.intervals import (
    Statistic,
)


class Limits(NamedTuple):
    """An interval that allows for groups; infinite where they are too few for one."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return math.isfinite(self.low) and math.isfinite(self.high)


NONE = Limits(-math.inf, math.inf)


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
