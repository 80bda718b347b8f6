"""One unit: how far the unit that moves a number of all units most, such as a correlation, moves
it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from assay.core import digits
from assay.core.claim_intervals import interval_of_table, outcome_by
from assay.core.claims import Claim
from assay.core.heavy import xr
from assay.core.intervals import FEWEST, Interval
from assay.core.reading import Others, Table, tabulate
from assay.core.results import Price

_RANKED = re.compile(r"\bcorr(?=\()")
"""A correlation that has a counterpart of ranks."""


class OneUnit(NamedTuple):
    """What the unit that moves a number most does to it."""

    words: str
    price: Price | None
    """What decides the claim if this unit alone keeps it from being decided."""


NONE = OneUnit("", None)


def find(
    claim: Claim, arms: Mapping[str, xr.Dataset], data: Table, i: Interval, level: float
) -> OneUnit:
    """Compute a number of all units again, without the unit that moves it most: in words where this
    unit moves it more than all others together, or keeps the claim from being decided."""
    (unit, *more) = claim.units
    of_each = next(iter(data.terms.values()))
    known = np.flatnonzero(np.isfinite(of_each).reshape(len(of_each), -1).any(1))
    if more or i.ends is None or len(known) <= FEWEST or len(known) != len(i.points):
        return NONE
    moves = np.square(i.points - i.estimate)
    farthest = int(np.argmax(moves))
    name = data.levels[unit][known[farthest]]
    left = _without(claim, arms, unit, name, level)
    came = outcome_by(claim, left)
    decides = outcome_by(claim, i) == "undecided" != came
    if not decides and 2 * moves[farthest] <= moves.sum():
        return NONE
    number, limits = digits.estimate(left.estimate, left.low, left.high)
    would = f"{came.removesuffix('s')}: " if decides else "be "
    text = (claim.condition or claim.text).strip()
    ranks = _RANKED.sub("spearman", text)
    advice = f", or judge ranks: {ranks}" if ranks != text else ""
    price = Price(f"find out whether the numbers of {unit} {name} are right{advice}")
    words = f"without {unit} {name} it would {would}{number} {limits}"
    return OneUnit(words, price if decides else None)


def _without(
    claim: Claim, arms: Mapping[str, xr.Dataset], unit: str, name: Any, level: float
) -> Interval:
    """The interval of a claim's own arm where no arm has this unit."""

    def dropped(arm: xr.Dataset) -> xr.Dataset:
        if unit not in arm.coords or not arm[unit].dims:
            return arm
        return arm.isel({arm[unit].dims[0]: np.flatnonzero(arm[unit].values != name)})

    reader = Others({a: dropped(arm) for a, arm in arms.items()}, claim.of, claim.where)
    value = partial(claim.value, reader.take(claim.of), reader)
    return interval_of_table(claim, tabulate(value, claim.units, claim.text, reader), level, 1)
