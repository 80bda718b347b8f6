"""Prices: about what it would take to decide an undecided claim, by the rule that decides."""

from __future__ import annotations

import math

from msgspec import structs

from assay.core.claims import Claim
from assay.core.intervals import Interval
from assay.core.power import edges, enough
from assay.core.reading import plural
from assay.core.results import Price

ON = Price("no number of units: the estimate lies on the threshold")


def distance(claim: Claim, i: Interval) -> float:
    """Measure how far the estimate lies from the nearest finite edge, on the scale of judging."""
    return abs(i.estimate - nearest_edge(claim, i))


def nearest_edge(claim: Claim, i: Interval) -> float:
    """Give the finite edge that the estimate lies nearest to, on the scale of judging."""
    (hold, fail) = edges(claim)
    return min((e for e in (*hold, *fail) if math.isfinite(e)), key=lambda e: abs(i.estimate - e))


def to_decide(claim: Claim, i: Interval, level: float = 0.95) -> Price:
    """Say about how many more units would let 80 % of experiments decide the claim if the estimate
    were the truth."""
    (hold_low, hold_high), (fail_low, fail_high) = edges(claim)
    between = (fail_low <= i.estimate < hold_low) or (hold_high < i.estimate <= fail_high)
    if between and (fail_low, fail_high) != (hold_low, hold_high):
        return Price("more units do not help: the estimate lies between the two thresholds")
    if i.estimate == (edge := nearest_edge(claim, i)):
        return ON
    reach = (i.estimate - i.low if edge < i.estimate else i.high - i.estimate) / abs(
        i.estimate - edge
    )  # of these units, however skewed
    narrowed = math.inf if i.bounds else reach**-2
    by_part = sorted(range(len(i.n)), key=lambda k: -i.parts[k])
    for k in by_part:
        if (n := enough(claim, i, (k,), i.n[k] + 1, level, narrowed)) is not None:
            return _more(claim.units[k], n - i.n[k])
    k = by_part[0]
    if (
        len(by_part) == 2
        and (n := enough(claim, i, tuple(by_part), i.n[k] + 1, level, narrowed)) is not None
    ):
        factor = math.ceil(10 * n / i.n[k]) / 10
        return Price(
            f"about {factor:g} times as many of both, {' and '.join(claim.units)}",
            claim.units[k],
            n - i.n[k],
        )
    return ON


def lacking(unit: str, n: int, available: int, fewest: int) -> Price:
    """About how many more units, where `n` of those that are there have a number."""
    if not n and available:
        return Price(
            f"more {plural(unit, 2)} alone do not help: none of {available} has what the claim "
            "compares; change what is trained"
        )
    return _more(unit, math.ceil((fewest - n) * max(available, n) / n) if n else fewest)


def _more(unit: str, more: int) -> Price:
    return Price(f"about {more:,} more {plural(unit, more)}", unit, more)


def of_arm(name: str, price: Price | None) -> Price | None:
    """The price of another arm's verdict, told as that arm's."""
    return structs.replace(price, text=f"{name}: {price.text}") if price else None


def of_gate(gate: str, i: Interval) -> Price:
    """What it takes to meet a gate."""
    if gate == "overlap":
        what = (
            f"in {i.undefined:.1%} of the draws"
            if i.undefined < 1
            else "for the estimate itself or when one unit is left out"
        )
        return Price(
            f"more units do not help: the statistic is undefined {what}; let the sweeps "
            "overlap, or choose other points"
        )
    if gate == "converged" and i.n[0]:
        return Price(
            "longer training; or more units, if a narrower interval survives the change since "
            "half-way"
        )
    return Price(f"more units do not help: meet the gate {gate}, by longer training for instance")
