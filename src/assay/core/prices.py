"""Prices: about what it would take to decide an undecided claim; and where its edges lie on the scale of judging."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from assay.core.claims import Claim, Price
from assay.core.intervals import Interval
from assay.core.reading import plural
from assay.core.scales import rescale


def edges(claim: Claim) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ranges to hold and to fail on the scale of judging."""

    def mapped(e: float) -> float:
        return e if math.isinf(e) else rescale(claim.scale, e)

    (fail_low, fail_high) = claim.fail_range
    return (mapped(claim.low), mapped(claim.high)), (mapped(fail_low), mapped(fail_high))


def distance(claim: Claim, i: Interval) -> float:
    """How far the estimate lies from the nearest finite edge, on the scale of judging."""
    return abs(i.estimate - nearest_edge(claim, i))


def nearest_edge(claim: Claim, i: Interval) -> float:
    """The finite edge that the estimate lies nearest to, on the scale of judging."""
    (hold, fail) = edges(claim)
    return min((e for e in (*hold, *fail) if math.isfinite(e)), key=lambda e: abs(i.estimate - e))


def to_decide(claim: Claim, i: Interval) -> Price:
    """About how many more units would bring the limit that lies towards the nearest edge to this side of it."""
    edge = nearest_edge(claim, i)
    (hold_low, hold_high), (fail_low, fail_high) = edges(claim)
    between = (fail_low <= i.estimate < hold_low) or (hold_high < i.estimate <= fail_high)
    if between and (fail_low, fail_high) != (hold_low, hold_high):
        return Price("more units do not help: the estimate lies between the two thresholds")
    on = Price("no number of units: the estimate lies on the threshold")
    if i.estimate == edge:
        return on
    reach = (i.estimate - i.low if edge < i.estimate else i.high - i.estimate) / abs(i.estimate - edge)
    if not i.variance:  # units that agree, between bounds: their limit comes nearer as 1/n
        k = int(np.argmin(i.n))
        return _more(claim.units[k], max(1, math.ceil(i.n[k] * reach) - i.n[k]))
    wanted = i.variance / max(reach, 1.0) ** 2
    if not wanted:  # off it by rounding alone
        return on
    for k in sorted(range(len(i.parts)), key=lambda k: -i.parts[k]):
        room = wanted - (i.variance - i.parts[k])
        if room > 0:
            return _more(claim.units[k], max(1, math.ceil(i.n[k] * i.parts[k] / room) - i.n[k]))
    factor = math.ceil(10 * i.variance / wanted) / 10
    k = int(np.argmax(i.parts))
    more = math.ceil((factor - 1) * i.n[k])
    return Price(f"about {factor:g} times as many of both, {' and '.join(claim.units)}", claim.units[k], more)


def lacking(unit: str, n: int, there: int, fewest: int) -> Price:
    """About how many more units, where `n` of those that are there have a number."""
    if not n and there:
        return Price(f"more {plural(unit, 2)} alone do not help: none of {there} has what the claim compares; change what is trained")
    return _more(unit, math.ceil((fewest - n) * max(there, n) / n) if n else fewest)


def _more(unit: str, more: int) -> Price:
    return Price(f"about {more:,} more {plural(unit, more)}", unit, more)


def of_arm(name: str, price: Price | None) -> Price | None:
    """The price of another arm's verdict, told as that arm's."""
    return replace(price, text=f"{name}: {price.text}") if price else None


def of_gate(gate: str, i: Interval) -> Price:
    """What it takes to meet a gate."""
    if gate == "overlap":
        what = f"in {i.undefined:.1%} of the draws" if i.undefined < 1 else "for the estimate itself or when one unit is left out"
        return Price(f"more units do not help: the statistic is undefined {what}; let the sweeps overlap, or choose other points")
    if gate == "converged" and i.n[0]:
        return Price("longer training; or more units, if a narrower interval survives the change since half-way")
    return Price(f"more units do not help: meet the gate {gate}, by longer training for instance")


