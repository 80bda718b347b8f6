"""Runs that are not there or not done: whether an outcome hangs on those that diverged, or on how
long all were trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from assay.core.claim_intervals import interval_of_table, outcome_by, read_units, scaled
from assay.core.claims import Claim
from assay.core.heavy import xr
from assay.core.intervals import Interval, interval
from assay.core.reading import LazyArms, Levels, Others, Table, run_unit
from assay.core.results import Outcome


def survivors(
    claim: Claim, name: str, arms: Mapping[str, xr.Dataset]
) -> tuple[Others, Table, Any, bool]:
    """An arm without diverged runs, its numbers, those runs, and whether few enough diverged."""
    arm_reader = Others(arms, name, claim.where)
    data = read_units(claim, name, arm_reader)
    unit = run_unit(claim.units, arm_reader)
    bad = arm_reader.diverged(unit)
    if not bad:
        return arm_reader, data, bad, True
    all_arms, arm_reader = arm_reader, Others(arms, name, claim.where, without=bad)
    run_count = arm_reader.take(name).sizes.get("run", 0)
    # More than a quarter lost is no accident, and no bound on the lost ones is worth trying.
    survived = len(bad) <= _units_of(all_arms.take(name), unit) / 4
    if run_count:
        data = read_units(claim, name, arm_reader)
    else:
        data = Table({t: x[:0] for t, x in data.terms.items()}, data.levels)
    return arm_reader, data, bad, survived


def _units_of(data: xr.Dataset, unit: str) -> int:
    return len(np.unique(data[unit].values)) if unit in data.coords else data.sizes.get("run", 1)


def worst_cases_agree(
    claim: Claim, data: Table, unit: str, lost: int, i: Interval, outcome: Outcome, level: float
) -> bool:
    """Whether the outcome is the same with the lost units counted as copies of the lowest, then of
    the highest, of the others."""
    if unit not in claim.units:
        return False
    axis = claim.units.index(unit)
    turned = {name: x.swapaxes(0, axis) for name, x in data.terms.items()}
    points = (
        interval(turned, claim.statistic, factors=len(claim.units), level=level, draws=1).points
        if axis
        else i.points
    )
    finite = np.flatnonzero(np.isfinite(points))
    if len(points) != len(data.levels[unit]) or not len(finite):
        return False
    # Copies of real units, since a statistic of several terms needs a whole unit and not a number.
    for worst in (finite[np.argmin(points[finite])], finite[np.argmax(points[finite])]):
        filled = {
            n: np.concatenate([x, np.repeat(x.take([worst], axis), lost, axis)], axis)
            for n, x in data.terms.items()
        }
        if (
            outcome_by(claim, interval_of_table(claim, Table(filled, data.levels), level))
            != outcome
        ):
            return False
    return True


def half_agrees(
    claim: Claim,
    arms: Mapping[str, xr.Dataset],
    bad: Levels,
    i: Interval,
    outcome: Outcome,
    level: float,
) -> bool:
    """Whether the outcome survives moving the interval once by the change from half to full
    training, in its direction.

    Like is compared with like: all arms keep only the seeds (or other per-run units) that every
    half-length arm has, and the full arms only the runs that their half-length arms have too. A few
    seeds are enough to tell how far a value still moves."""
    for unit in claim.units:
        levels = [
            set(arms[half][unit].values.tolist())
            for half in claim.half.values()
            if unit in arms[half].coords
        ]
        if levels and arms[claim.of].coords[unit].dims == ("run",):
            common = set.intersection(*levels)
            keys = {(level,) for level in common}
            arms = LazyArms(arms, partial(_kept, arms, (unit,), keys))

    def shared(name: str) -> xr.Dataset:
        return _shared(arms[name], arms[claim.half[name]]) if name in claim.half else arms[name]

    shared_arms = LazyArms(arms, shared)

    def compute_estimate(arm_reader: Others) -> float:
        data = scaled(claim, claim.of, read_units(claim, claim.of, arm_reader))
        return interval_of_table(claim, data, level, draws=1).estimate

    full = compute_estimate(Others(shared_arms, claim.of, claim.where, without=bad))
    half = compute_estimate(Others(arms, claim.of, claim.where, swap=claim.half, without=bad))
    # As much again as the second half of training moved the value: a run that still moves goes on.
    moved = replace(i, low=i.low + full - half, high=i.high + full - half)
    if claim.distance and moved.low < 0:
        ends = abs(moved.low), abs(moved.high)
        moved = replace(moved, low=0.0 if moved.high > 0 else min(ends), high=max(ends))
    return outcome_by(claim, moved) == outcome


def _kept(
    arms: Mapping[str, xr.Dataset], names: tuple[str, ...], levels: set[tuple], name: str
) -> xr.Dataset:
    return _keep(arms[name], names, levels)


def _shared(arm: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """The runs of an arm whose per-run fields are those of a run of the other arm."""
    names = tuple(str(n) for n, c in arm.coords.items() if c.dims == ("run",) and n in other.coords)
    return _keep(arm, names, set(zip(*(other[n].values.tolist() for n in names), strict=True)))


def _keep(arm: xr.Dataset, names: tuple[str, ...], levels: set[tuple]) -> xr.Dataset:
    """The runs of an arm whose fields `names` have these levels; the arm as it is where it lacks
    the fields."""
    if not all(n in arm.coords and arm[n].dims == ("run",) for n in names):
        return arm
    keys = zip(*(arm[n].values.tolist() for n in names), strict=True)
    return arm.isel(run=[key in levels for key in keys])
