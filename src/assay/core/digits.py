"""Digits: an estimate and its interval as text, to the digits that the interval supports; the same
in a terminal, on a page and of a check as of a study."""

from __future__ import annotations

import math
from collections.abc import Sequence

BELOW = 2
"""So many decimals more than a claim's number has a control's at most."""


def zeroed(value: float) -> float:
    """The number, or 0 where only the rounding of double precision keeps it from 0."""
    return 0.0 if abs(value) < 1e-12 else value


def number(value: float | None, decimals: int | None = None) -> str:
    """A number at so many decimals, or at four significant digits; "not estimated" when there is
    none."""
    if value is None or not math.isfinite(value):
        return "not estimated"
    if decimals is None or decimals > 6:
        return f"{zeroed(value):.4g}"
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def decimals(low: float | None, high: float | None) -> int | None:
    """Decimals that an interval supports: one significant digit of its half-width, two when the
    first is 1; None without one."""
    if low is None or high is None or not math.isfinite(high - low) or high <= low:
        return None
    half = float(high - low) / 2  # NumPy's numbers would make a NumPy integer of the decimals
    places = math.ceil(-math.log10(half))
    return max(0, places + (half * 10**places < 2))


def told_apart(*numbers: float) -> list[str]:
    """Write two numbers with three digits, or as many as their difference takes to be seen."""
    numbers = tuple(map(zeroed, numbers))
    size, gap = max(map(abs, numbers)), max(numbers) - min(numbers)
    digits = 3
    if gap > size * 1e-9:
        digits = max(digits, math.floor(math.log10(size)) - math.floor(math.log10(gap)) + 2)
    return [f"{x:.{digits}g}" for x in numbers]


def estimate(
    value: float | None,
    low: float | None,
    high: float | None,
    thresholds: Sequence[float] = (),
    least: int = 0,
) -> tuple[str, str]:
    """Estimate and interval as text, to the digits the interval supports: ("0.997",
    "[0.994, 1.000]"). There is a decimal more where fewer than two digits of the estimate would be
    left and it shows the first, or where the estimate would be printed as an end of the interval
    that it is not. Of numbers with an interval there are at least `least`."""
    if value is None or number(value) == "not estimated":
        return "not estimated", ""
    places = decimals(low, high)
    if places is not None:
        few = 10.0 ** -(places + 1) / 2 <= abs(value) < 10 ** (1 - places)
        places += few or any(_same(value, end, places) for end in (low, high))
        places = max(places, least)
    if not (is_known(low) or is_known(high)):
        return number(value, places), "no interval"
    if places is not None:
        places = max(_choose_places(places, end, thresholds) for end in (low, high))
    return number(value, places), f"[{number(low, places)}, {number(high, places)}]"


def of_control(
    value: float, low: float, high: float, of_claim: Sequence[float], thresholds: Sequence[float]
) -> tuple[str, str]:
    """Estimate and interval of a control as text: with at most two decimals more than the interval
    of its claim has; what is smaller is 0."""
    numbers = estimate(value, low, high, thresholds)
    if (most := decimals(*of_claim)) is None or value == low == high:
        return numbers
    digits = most + BELOW
    shown, *ends = (number(x, digits) for x in (value, low, high))
    edges = {number(x, digits) for x in (*thresholds, math.inf)}
    is_longer = len(numbers[0].partition(".")[2]) > digits and edges.isdisjoint((shown, *ends))
    if max(abs(value), abs(low), abs(high)) < 10.0**-digits / 2:
        return number(0, most), f"[{number(0, most)}, {number(0, most)}]"
    return (shown, f"[{', '.join(ends)}]") if "e-" in "".join(numbers) or is_longer else numbers


def is_known(x: float | None) -> bool:
    """Tell whether there is a number."""
    return x is not None and math.isfinite(x)


def _choose_places(places: int, limit: float | None, thresholds: Sequence[float]) -> int:
    """Keep these decimals, or take up to two more where a limit would otherwise be printed as the
    threshold that it is not."""
    if limit is None:
        return places
    near = [edge for edge in thresholds if math.isfinite(limit - edge)]
    return next(
        (p for p in (places, places + 1) if not any(_same(limit, e, p) for e in near)), places + 2
    )


def _same(a: float, b: float | None, digits: int) -> bool:
    """Whether two numbers that differ by more than rounding are printed alike."""
    if b is None or number(a, digits) != number(b, digits):
        return False
    return not math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
