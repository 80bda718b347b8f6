"""Placing: where an interval lies with regard to the ranges of a claim, which is what decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # tables of stored verdicts are shown without NumPy
    from assay.core.claims import Claim
    from assay.core.intervals import Interval

FEWEST = 6
"""Units of every factor that a verdict needs: five of five alike has p = 1/32."""
FOLD = "fold"
"""A unit of this name is a fold of a cross-validation, trained on what the others judge."""
FEWEST_FOLDS = 5
"""Folds that a verdict needs; their interval allows for the data that they share."""


def fewest(units: Sequence[str]) -> int:
    """Give how many levels of every unit a verdict needs."""
    return FEWEST_FOLDS if tuple(units) == (FOLD,) else FEWEST


def edges(claim: Claim) -> tuple[tuple[float, float], tuple[float, float]]:
    """Give the range to hold in and the range to fail outside of, on the scale of judging."""
    from assay.core.scales import rescale

    (low, high), (fail_low, fail_high) = (
        [e if math.isinf(e) else rescale(claim.scale, e) for e in ends]
        for ends in ((claim.low, claim.high), claim.fail_range)
    )
    return (low, high), (fail_low, fail_high)


def placed(claim: Claim, low: Any, high: Any) -> tuple[Any, Any]:
    """Tell whether an interval lies within the range to hold, and whether outside the range to
    fail; of arrays of limits, for each of them."""
    (hold_low, hold_high), (fail_low, fail_high) = edges(claim)
    return (hold_low <= low) & (high <= hold_high), (high < fail_low) | (low > fail_high)


def control_level(level: float) -> float:
    """Give the level of a control's own interval: 80 % where the claim's is 95 %.

    Args:
        level: of the claim's interval.
    Formula: 1 - 4 (1 - level)
    Example:
        >>> from assay.core.placing import control_level
        >>> round(control_level(0.95), 12)
        0.8
    """
    return max(0.0, 1 - 4 * (1 - level))


def strict(claim: Claim) -> Claim:
    """The claim, failing wherever it does not hold: what others than the method are held to."""
    return replace(claim, fail_low=None, fail_high=None)


def beyond(claim: Claim, control: Interval) -> Claim:
    """The claim that the method lies beyond a control: above one that lies below the range to hold,
    below one that lies above."""
    above = control.estimate < edges(claim)[0][0]
    low, high = (claim.beats, math.inf) if above else (-math.inf, -claim.beats)
    return replace(strict(claim), low=low, high=high, scale="plain", bounds=None)


def distance(claim: Claim, i: Interval) -> float:
    """Measure how far the estimate lies from the nearest finite edge, on the scale of judging."""
    return abs(i.estimate - nearest_edge(claim, i))


def nearest_edge(claim: Claim, i: Interval) -> float:
    """Give the finite edge that the estimate lies nearest to, on the scale of judging."""
    ends = [e for pair in edges(claim) for e in pair if math.isfinite(e)]
    return min(ends, key=lambda e: abs(i.estimate - e))
