"""Ties: units that have one and the same number, so that the others cannot say how units spread;
what would decide a claim about them, and where being equal is itself the finding."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from assay.core.claim_intervals import read_units
from assay.core.claims import Claim
from assay.core.errors import ClaimError
from assay.core.intervals import FOLD, Interval, interval
from assay.core.nouns import all_of, plural
from assay.core.reading import Others, Table
from assay.core.results import Price
from assay.core.stats import mean

if TYPE_CHECKING:
    from assay.core.heavy import xr

_MEASURE = re.compile(r"[\w\"']\.[A-Za-z_]")
"""Where a measure is named in a condition."""
ALIKE = 0.5
"""Share of the units that may not have one and the same number, unless the claim names their
bounds."""
NEGLIGIBLE = 1e-3
"""An effect that is at most this share of the claimed one, in every unit, counts as none."""
ROUNDED = 1e-12
"""Numbers that differ by at most this share of themselves, or of the claimed value, count as equal:
they differ by the order of a sum."""


def in_words(claim: Claim, data: Table, i: Interval) -> str:
    """How many units have one and the same number, in words; empty where that is no obstacle."""
    if i.bounds is not None or i.rounding or min(i.n) < 2:
        return ""
    if i.variance == 0:
        return f"{all_of(i.n[0])} {plural(claim.units[0], i.n[0])} have the same number"
    points = i.points[np.isfinite(i.points)]
    if len(claim.units) == 2 or claim.statistic is not mean or not len(points):
        return ""  # what a ratio or a slope is of one unit by itself is no unit's number
    times = _alike(claim, points)
    return (
        f"{times} of {len(points)} {plural(claim.units[0], len(points))} have the same number"
        if times >= ALIKE * len(points)
        else ""
    )


def price(claim: Claim, data: Table, i: Interval, tie_text: str) -> Price:
    """Say what decides a claim whose units tie."""
    return Price(
        f"{tie_text}: ask of something on which they differ, as by harder prompts"
        if _all_alike(claim, i)
        else f"{tie_text}: {_untie(claim, data)}"
    )


def _alike(claim: Claim, points: Float[np.ndarray, " unit"]) -> int:
    """How many units have the number that most of them have."""
    _, times = np.unique([float(f"{x:.12g}") for x in points], return_counts=True)
    ends = [abs(e) for pair in claim.edges for e in pair if math.isfinite(e)]
    near = np.abs(points - np.median(points)) <= ROUNDED * max(ends, default=0.0)
    return int(max(times.max(), near.sum()))


def _all_alike(claim: Claim, i: Interval) -> bool:
    """Whether a worded claim compares two measures that are equal in every unit."""
    compares = len(_MEASURE.findall(claim.condition)) > 1
    return compares and i.estimate == 0 and i.variance == 0


def _untie(claim: Claim, data: Table) -> str:
    """What would give units that agree an interval and was not done already."""
    natural = claim.natural if claim.condition else None  # of a study in a file
    bounds = claim.bounds or (natural if natural and np.isfinite(natural).all() else None)
    cells = np.concatenate([x.ravel() for x in data.terms.values()])
    there = cells[~np.isnan(cells)]
    several, alike = len(claim.units) == 2, (there == there[0]).all()
    is_mean = claim.statistic is mean and len(data.terms) == 1 and claim.scale == "plain"
    at_bound = bounds is None or there[0] in bounds
    # no other quantity has exact limits, nor have two factors whose cells differ
    if not (is_mean and at_bound) or ((several or FOLD in claim.units) and not alike):
        differ = "ask of something on which they differ"
        return differ if claim.condition else "give the numbers unrounded"
    lacks = several and len(there) < len(cells)
    every = f"give every {' a number at each '.join(claim.units)}" * lacks
    exact = "for an exact interval"
    if bounds is not None:
        return f"{every} {exact}"
    named = "name the bounds of a unit"
    if claim.condition:
        exact += " if all numbers lie on one of them" * several
        named = (
            "add bounds = [LOW, HIGH] to the claim, the least and the greatest value of a unit, "
            "such as [-1, 1] for a difference of shares,"
        )
    return f"{' and '.join(filter(None, (every, named)))} {exact}"


def is_identical(claim: Claim, arm_reader: Others, i: Interval) -> bool:
    """Whether an arm equals those that it is compared with, up to rounding, though units differ,
    which is no coincidence.

    That is the case where the value is 0 in each unit, or negligible next to the claimed value, and
    is so in no unit, though equal on the whole, once the units of the compared arms are shifted by
    one place: the same numbers in another order.
    """
    ends = [abs(e) for e in claim.edges[1] if math.isfinite(e)]
    least = NEGLIGIBLE * min(ends, default=0.0) if len(claim.units) == 1 else 0.0
    if claim.scale != "plain" or (not least and i.variance) or not (abs(i.points) <= least).all():
        return False
    under = arm_reader.under
    try:
        arms = {
            name: arm_reader.take(name)
            if name == under
            else _turned(arm_reader.take(name), claim.units[0])
            for name in arm_reader.read
        }
        turned = read_units(claim, str(under), Others(arms, under)).or_empty(len(claim.units))
        moved = interval(turned, claim.statistic, factors=len(claim.units), draws=1)
    except (ClaimError, KeyError, ValueError):
        return False  # arms that cannot be turned differ by an unknown amount
    sizes = np.abs(moved.points)
    # Single precision rounds in each pass over its own.
    alike = abs(moved.estimate - i.estimate) <= 1e-6 * sizes.max(initial=0.0)
    return bool(sizes.size and (sizes > least).all() and alike)


def _turned(arm: xr.Dataset, unit: str) -> xr.Dataset:
    """An arm with each level of a unit measured as the next one was. Raises: KeyError where runs do
    not cover all levels alike."""
    if unit not in arm.coords:
        return arm.roll({unit: 1}) if unit in arm.dims else arm
    levels = np.unique(arm[unit].values)
    following = dict(zip(levels.tolist(), np.roll(levels, -1).tolist(), strict=True))
    (dim,) = arm[unit].dims
    fields = [str(name) for name, c in arm.coords.items() if c.dims == (dim,)]
    keys = [
        dict(zip(fields, key, strict=True))
        for key in zip(*(arm[f].values.tolist() for f in fields), strict=True)
    ]
    index_by_key = {tuple(key.values()): place for place, key in enumerate(keys)}
    order = [index_by_key[tuple((key | {unit: following[key[unit]]}).values())] for key in keys]
    return arm.isel({dim: order}).assign_coords({f: arm[f] for f in fields})
