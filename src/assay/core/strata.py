"""Strata: a column that is held fixed where arms have different shares of its values, such as easy
and hard items: the number within each value, and the mean of these."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assay.core.claims import Value
from assay.core.contrasts import COUNT, OfGroups
from assay.core.errors import ClaimError
from assay.core.heavy import xr
from assay.core.intervals import Means, Statistic

if TYPE_CHECKING:
    pass

OF = ": "
"""What parts the values of fixed columns from the name of a term."""
FEWEST_IN = 2
"""Units of every arm without which a value of a column shows no spread."""


def of_each(statistic: Statistic, strata: bool = False) -> OfGroups:
    """Give the mean, over strata, of a statistic of means of those units that a term has: of sums,
    to which any other unit adds 0, over their counts."""

    def of_sums(m: Means) -> np.ndarray:
        each: dict[str, dict[str, np.ndarray]] = {}
        there: dict[str, np.ndarray] = {}
        with np.errstate(all="ignore"):
            for key in (k for k in m if COUNT + k in m):
                stratum, _, name = key.rpartition(OF)
                each.setdefault(stratum, {})[name] = m[key] / m[COUNT + key]
                any_unit = (m[COUNT + key] > 0).reshape(len(m[key]), -1).all(1)
                there[stratum] = np.logical_and(there.get(stratum, True), any_unit)
            # a draw may lack a stratum; one without a unit of any has no number
            numbers = [np.where(there[k], statistic(means), 0.0) for k, means in each.items()]
            return np.asarray(np.sum(numbers, axis=0) / np.sum([*there.values()], axis=0))

    return OfGroups(of_sums, strata=strata)


def put(value: Value, units: Sequence[str], fixed: Sequence[str] = ()) -> Value:
    """Align the numbers of all arms, by the values of the `fixed` columns, on the units of all: 0
    where a unit has none, each next to an indicator of the units that have one. The spread of each
    is that of its own n − 1: Welch's where columns are fixed, and otherwise a little more."""

    def aligned(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> Mapping[str, xr.DataArray]:
        parts = {
            f"{stratum}{OF}{name}" if fixed else name: part if units[1:] else part.dropna(units[0])
            for name, x in value(arm, arms).items()
            for stratum, part in _parts(x, fixed)
        }
        if not parts:
            raise ClaimError(f"no unit has a number in all arms at one value of {', '.join(fixed)}")
        keys = parts.keys()
        every = dict(zip(keys, xr.align(*parts.values(), join="outer"), strict=True))
        present = xr.concat([x.notnull() for x in every.values()], "term").any("term")
        # of two units, combinations that have no number count nothing
        kept = {u: present.any([d for d in present.dims if d != u]).values for u in units}
        terms = {}
        for name, x in every.items():
            x = x.isel({u: np.flatnonzero(k) for u, k in kept.items()})
            there = x.notnull()
            if len(units) == 1:
                count, total, mean = there.sum(units), kept[units[0]].sum(), x.mean(units)
                own = count / np.maximum(1, count - 1) * (total - 1) / total
                own = 1 / own if fixed else own  # the jackknife's is s² / (n − 1)
                x = mean + np.sqrt(own) * (x - mean)
            terms[name] = x.fillna(0.0)
            terms[COUNT + name] = there.astype(float)
        return terms

    return aligned


def _parts(x: xr.DataArray, fixed: Sequence[str]) -> Iterator[tuple[str, xr.DataArray]]:
    """The numbers at each combination of values of the fixed columns, by these values. Raises:
    ClaimError where one has too few units."""
    for places in itertools.product(*(range(x.sizes[d]) for d in fixed)):
        part = x.isel(dict(zip(fixed, places, strict=True)), drop=True)
        values = ", ".join(f"{d} {x[d].values[k]}" for d, k in zip(fixed, places, strict=True))
        count = int(part.notnull().sum())
        if fixed and 0 < count < FEWEST_IN:
            raise ClaimError(
                f"{values} has 1 unit, of {FEWEST_IN} that are needed to hold it fixed"
            )
        if count:
            yield values, part
