"""Power: which true values a claim would be found to hold at, and from which size on a difference of two is more than luck."""

from __future__ import annotations

import math

from scipy.special import betainc, betaincinv, stdtrit

from assay.core.claims import Claim
from assay.core.intervals import Interval
from assay.core.prices import edges
from assay.core.scales import unscale

CHANCE = 0.8
"""Of finding an effect that is planted at a detectable value."""
NOTHING = (math.nan, math.nan)
"""No value would be found."""


def detectable(claim: Claim, i: Interval, level: float = 0.95) -> tuple[float, float]:
    """Tell from which to which true value the claim would be found to hold, in at least 80 % of such experiments.

    In the claim's unit; infinite on a side without a threshold; NaN twice where no value would be found.

    Formula: threshold ± (t_(1+level)/2 + t_0.8) √V on the scale of judging, V the squared standard error that was measured; for
    bounded units the least share of units at the better bound for which the exact interval clears the threshold.
    """
    (low, high), _ = edges(claim)
    if i.df < 1 or not math.isfinite(i.variance):
        return NOTHING
    if claim.bounds is not None:
        least, greatest = claim.bounds
        width, n = greatest - least, min(i.n)
        low = low if math.isinf(low) else least + width * _share((low - least) / width, n, level)
        high = high if math.isinf(high) else greatest - width * _share((greatest - high) / width, n, level)
    else:
        margin = (float(stdtrit(i.df, (1 + level) / 2)) + float(stdtrit(i.df, CHANCE))) * math.sqrt(i.variance)
        low, high = low + margin, high - margin
    if math.isnan(low) or math.isnan(high) or low > high:
        return NOTHING
    return unscale(claim.scale, low), unscale(claim.scale, high)


def smallest_difference(deviation: float, n: int, level: float = 0.95) -> float:
    """Compute what the difference of two new units exceeds by luck in 5 % of pairs, from the standard deviation of n such units.

    Formula: t_(1+level)/2, n−1 · √2 · s, exact for normal units; NaN for fewer than two
    """
    return float(stdtrit(n - 1, (1 + level) / 2) * math.sqrt(2) * deviation) if n > 1 else math.nan


def _share(threshold: float, n: int, level: float) -> float:
    """The least true share of n units that is found to lie above a threshold with the chance; NaN where none is."""
    for k in range(n + 1):  # betainc: the chance of k or more among n at this share, which the exact limit compares with
        if k and betainc(k, n - k + 1, threshold) <= (1 - level) / 2:
            return float(betaincinv(k, n - k + 1, CHANCE))
    return math.nan
