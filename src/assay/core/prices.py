"""Prices: about what it would take to decide an undecided claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from assay.core.claims import Claim
from assay.core.intervals import Interval
from assay.core.placing import FOLD, edges, nearest_edge
from assay.core.power import CHANCE, chance, enough, least_enough
from assay.core.reading import plural
from assay.core.results import Price

ON = Price("no number of units: the estimate lies on the threshold")
"""The price of a verdict that no number of units would decide."""


def price_to_decide(claim: Claim, i: Interval, level: float = 0.95) -> Price:
    """Say about how many more units would let 80 % of experiments decide the claim if the estimate
    were the truth."""
    (hold_low, hold_high), (fail_low, fail_high) = edges(claim)
    between = (fail_low <= i.estimate < hold_low) or (hold_high < i.estimate <= fail_high)
    if between and (fail_low, fail_high) != (hold_low, hold_high):
        return Price("more units do not help: the estimate lies between the two thresholds")
    if math.isclose(i.estimate, edge := nearest_edge(claim, i), rel_tol=1e-12, abs_tol=1e-15):
        return ON
    off = abs(i.estimate - edge) - i.rounding
    if off <= 0:
        return Price(
            f"no number of units: rounding alone moves the estimate by up to {i.rounding:.4g}, and "
            "the threshold is no farther away; give more decimals"
        )
    if FOLD in claim.units:
        return Price(
            "more folds hold no more data: measure more examples, or several data sets as units"
        )
    if i.bounds is not None and len(i.n) == 2:
        return _price_of_both(claim, i, edge, level)
    side = i.estimate - i.low if edge < i.estimate else i.high - i.estimate
    reach = (side - i.rounding) / off  # of these units, however skewed
    narrowed = math.inf if i.bounds or not reach else reach**-2
    by_part = sorted(range(len(i.n)), key=lambda k: -i.parts[k])
    for k in by_part:
        if (n := enough(claim, i, (k,), i.n[k] + 1, level, narrowed)) is not None:
            return _more(claim.units[k], n - i.n[k])
    k, both = by_part[0], tuple(by_part)
    if len(both) < 2 or (n := enough(claim, i, both, i.n[k] + 1, level, narrowed)) is None:
        return ON
    times = f"{math.ceil(10 * n / i.n[k]) / 10:g} times as many of both"
    return Price(f"about {times}, {' and '.join(claim.units)}", claim.units[k], n - i.n[k])


def _price_of_both(claim: Claim, i: Interval, edge: float, level: float) -> Price:
    """Say how many levels each of two factors needs whose cells all lie on one bound."""

    def decided(n: int) -> bool:
        return max(chance(claim, replace(i, n=(n, n)), i.estimate, level)) >= CHANCE

    n = least_enough(decided, min(i.n) + 1)
    if n is None:
        return ON
    short = [(u, n - have) for u, have in zip(claim.units, i.n, strict=True) if have < n]
    needed = " and ".join(f"{n:,} {plural(u, n)}" for u, _ in short)
    end = "lower end above" if edge < i.estimate else "upper end below"
    text = f"about {needed} in all, for an exact {end} {edge:.6g}"
    # More of one factor alone buy nothing where both are short.
    return Price(text, *(short[0] if len(short) == 1 else (None, None)))


def price_of_units(unit: str, n: int, available: int, fewest: int) -> Price:
    """About how many more units, where `n` of those that are there have a number."""
    if not n and available:
        return Price(
            f"more {plural(unit, 2)} alone do not help: none of {available} has what the claim "
            "compares; change what is trained"
        )
    return _more(unit, math.ceil((fewest - n) * max(available, n) / n) if n else fewest)


def _more(unit: str, more: int) -> Price:
    return Price(f"about {more:,} more {plural(unit, more)}", unit, more)


def price_of_arm(name: str, price: Price | None) -> Price | None:
    """The price of another arm's verdict, told as that arm's."""
    return structs.replace(price, text=f"{name}: {price.text}") if price else None


def price_of_gate(gate: str, i: Interval) -> Price:
    """What it takes to meet a gate."""
    if gate == "converged" and i.n[0]:
        return Price(
            "longer training; or more units, if a narrower interval survives the change since "
            "half-way"
        )
    if gate != "overlap":
        return Price(
            f"more units do not help: meet the gate {gate}, by longer training for instance"
        )
    share = f"in {i.undefined:.1%} of the draws"
    what = share if i.undefined < 1 else "for the estimate itself or when one unit is left out"
    return Price(
        f"more units do not help: the statistic is undefined {what}; let the sweeps "
        "overlap, or choose other points"
    )


def price_with_gates(price: Price, unmet: Sequence[str]) -> Price:
    """Add to the price of more units what else a claim waits for, lest they be bought in vain."""
    if price.more is None or not unmet:
        return price
    waits = "longer training" if "converged" in unmet else f"what meets the gate {unmet[0]}"
    return structs.replace(price, text=f"{price.text}, and {waits}")
