"""Numbers to the digits that their interval supports, such as −2.6 [−3.0, −2.3]."""

from __future__ import annotations

import math
from collections.abc import Sequence

MOST = 6
"""Decimals at most; smaller numbers are shown with four digits."""


def number(x: float, decimals: int | None = None) -> str:
    """A number with so many decimals, else with four digits; – where there is none."""
    if not math.isfinite(x):
        return "–"
    few = decimals is None or decimals > MOST
    shown = f"{x:.4g}" if few else f"{x:.{decimals}f}"
    return shown.lstrip("-") if float(shown) == 0 else shown.replace("-", "−")


def with_interval(x: float, low: float, high: float, thresholds: Sequence[float] = ()) -> str:
    """An estimate and its interval: −2.6 [−3.0, −2.3]."""
    if not math.isfinite(high - low):
        return f"{number(x)} [no interval]"
    places = decimals(x, low, high, thresholds)
    return f"{number(x, places)} [{number(low, places)}, {number(high, places)}]"


def decimals(x: float, low: float, high: float, thresholds: Sequence[float] = ()) -> int | None:
    """The decimals of an estimate and its interval: one digit of half its width, or two that begin
    with 1. There are more where fewer than two digits of the estimate would be left, or where a
    limit would be printed as the estimate or the threshold that it is not."""
    half = (high - low) / 2
    if not half > 0:
        return None
    places = math.ceil(-math.log10(half))
    places = max(0, places + (half * 10**places < 2))
    places += 10.0 ** -(places + 1) / 2 <= abs(x) < 10.0 ** (1 - places)
    for other in (x, *filter(math.isfinite, thresholds)):
        alike = [end for end in (low, high) if not math.isclose(end, other, rel_tol=1e-9)]
        for _ in range(2):
            places += any(number(end, places) == number(other, places) for end in alike)
    return places
