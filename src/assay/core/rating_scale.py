"""Rating scale: a column of a few equally spaced values, such as 0, 0.5 and 1 for lost, drawn and
won, or 1 to 5, whose bounds are then known. It is not rounded, so that units which have the same
number are no ties by rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from assay.core.expression import range_of
from assay.core.intervals import FOLD
from assay.core.nouns import joined
from assay.core.stats import mean
from assay.core.table_question import Question

FEWEST_VALUES, MOST_VALUES = 3, 11
"""Of two values, 0 and 1 are shares; 0 to 10 is the longest scale in common use."""
AT_END, SHARE_AT_END = 5, 0.05
"""Rows, and their share of all, that have to be at either end: the greatest of a few counts has
fewer, and there may be greater ones."""


class Scale(NamedTuple):
    """The bounds of a claim's number, and in words how they are known."""

    bounds: tuple[float, float]
    words: str


def find(question: Question, edges: Sequence[float]) -> Scale | None:
    """Find the scale of which all columns of a question are, if a mean of them is compared, and the
    thresholds are within its bounds; else None."""
    parsed, columns = question.parsed, question.columns
    if parsed.statistic is not mean or len(question.axes) > 1 or FOLD in question.axes:
        return None
    values = np.concatenate([question.rows[c].to_numpy(float) for c in columns])
    ends = ends_of(values)
    if ends is None or None in (ends_of(question.rows[c].to_numpy(float)) for c in columns):
        return None
    bounds = range_of(parsed, *ends)
    if bounds is None or not all(bounds[0] <= x <= bounds[1] for x in edges if math.isfinite(x)):
        return None
    has = joined([f"{x:.3g}" for x in np.unique(values[np.isfinite(values)])])
    names, verb = joined(columns), "have" if columns[1:] else "has"
    low, high = (f"{x:g}" for x in ends)
    scale = f"a scale from {low} to {high}, between which the interval is exact"
    return Scale(bounds, f"{names} {verb} only the values {has}: taken as {scale}")


def ends_of(x: Float[np.ndarray, " row"]) -> tuple[float, float] | None:
    """Give the ends of the scale that numbers are on: it begins at 0, at 1, or as far below 0 as it
    ends above, both ends occur often, and its steps are not those of rounding to decimals."""
    x = x[np.isfinite(x)]
    values, times = np.unique(x, return_counts=True)
    if not FEWEST_VALUES <= len(values) <= MOST_VALUES:
        return None
    low, high, step = float(values[0]), float(values[-1]), float(np.diff(values).min())
    places = (values - low) / step
    is_rounded = step < 1 and math.isclose(math.log10(step), round(math.log10(step)), abs_tol=1e-6)
    is_even = np.abs(places - np.round(places)).max() <= 0.05 and places[-1] < MOST_VALUES - 0.5
    often = min(times[0], times[-1]) >= max(AT_END, SHARE_AT_END * len(x))
    return (low, high) if is_even and often and not is_rounded and low in (0, 1, -high) else None
