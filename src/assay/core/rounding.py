"""Rounding: by how much a table's rounded numbers may have moved what is judged or estimated on
them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from assay.core import estimates
from assay.core.claims import Estimate
from assay.core.heavy import xr
from assay.core.results import Estimated
from assay.core.stats import mean
from assay.core.ties import ALIKE

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rounding:
    """What rounding may have done to the value of a claim or an estimate."""

    by: float = 0.0
    """By how much rounding may have moved a unit's value."""
    words: str = ""


def is_tied(number: Estimated, statement: Estimate) -> bool:
    """Tell whether so many units have one and the same number that a claim about it would be
    undecided by ties; not where the interval is exact."""
    points = np.array(number.points)
    points = points[np.isfinite(points)]
    if len(points) < 2 or (statement.ends and set(points.tolist()) <= set(statement.ends)):
        return False
    _, times = np.unique([float(f"{x:.12g}") for x in points], return_counts=True)
    by_unit = len(statement.units) == 1 and statement.statistic is mean
    return number.low == number.high or bool(by_unit and times.max() >= ALIKE * len(points))


def widen(
    number: Estimated,
    statement: Estimate,
    arms: Mapping[str, xr.Dataset],
    rows: pd.DataFrame,
    keys: Mapping[str, str],
) -> Estimated:
    """The estimate with its interval wider by what rounding may have moved it, where units tie, as
    that of a claim would be."""
    if not is_tied(number, statement):
        return number

    def points(arms: Mapping[str, xr.Dataset]) -> np.ndarray:
        return np.array(estimates.estimate(statement, arms).points)

    moved = find(points, arms, rows, keys)
    if not moved.by:
        return number
    least, greatest = statement.ends or (-math.inf, math.inf)
    least, greatest = min(least, number.estimate), max(greatest, number.estimate)
    return structs.replace(
        number,
        low=max(number.low - moved.by, least),
        high=min(number.high + moved.by, greatest),
        method=f"{number.method}; {moved.by:.4g} wider on either side for rounding",
        notes=(*number.notes, moved.words),
    )


def find(
    get_points: Callable[[Mapping[str, xr.Dataset]], np.ndarray],
    arms: Mapping[str, xr.Dataset],
    rows: pd.DataFrame,
    keys: Mapping[str, str],
) -> Rounding:
    """Find the step of rounded columns, and what half of it in every number that is compared can
    move the value by, of which `get_points` gives that of each unit.

    A step is the largest number of which all that a column holds are multiples; one that is whole
    is a count and no rounding."""
    steps = {
        key: step for key, c in keys.items() if 0 < (step := grid(rows[c].to_numpy(float))) < 1
    }
    points = get_points(arms)
    by = 0.0
    for arm in rows["arm"].unique():
        for key, step in steps.items():
            ways = []
            for half in (-step / 2, step / 2):
                data = arms[arm].assign({key: arms[arm][key] + half})
                moved = get_points({**arms, arm: data})
                ways.append(float(np.nanmax(np.abs(moved - points), initial=0.0)))
            by += max(ways)
    listed = " and ".join(
        dict.fromkeys(f"{keys[key]} is rounded to {step:.12g}" for key, step in steps.items())
    )
    return Rounding(
        by,
        f"{listed}: half a step in each number moves the value by up to {by:.4g}, and the "
        "interval is wider by that on either side",
    )


EQUAL = 1e-6
"""The share of the largest number by which single precision may move what is not changed."""


SHARES = 720_720
"""All shares of up to 16 rows are multiples of 1 by this."""


def are_unmoved(numbers: Iterable[Sequence[np.ndarray]]) -> bool:
    """Whether all numbers are after a change what they were before, up to single precision, and
    not because they are counts or shares of a few alone, which hide small changes. Each measure is
    (after, before, …), where what follows shows how large and how fine it is elsewhere."""
    is_fine = False
    for after, before, *others in numbers:
        known = np.concatenate([x[np.isfinite(x)] for x in (before, *others)])
        most = EQUAL * np.max(np.abs(known), initial=0.0)
        if not np.allclose(after, before, 0, most, equal_nan=True):
            return False
        parts = known * SHARES
        is_fine |= bool((np.abs(parts - np.round(parts)) > 1e-3).any())
    return is_fine


def grid(values: np.ndarray) -> float:
    """Find the largest step of which all of these are multiples, to six decimals; 0 where there is
    none, or one number alone, which shows no step."""
    millionths = values[np.isfinite(values)] * 1e6
    whole = np.round(millionths)
    if (
        not whole.size
        or whole.min() == whole.max()
        or np.abs(millionths - whole).max() > 1e-3
        or np.abs(whole).max() >= 2**63
    ):
        return 0.0
    return int(np.gcd.reduce(whole.astype(np.int64))) / 1e6
