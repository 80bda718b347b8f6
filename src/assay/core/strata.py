"""Strata: a column that is held fixed where arms have different shares of its values, such as easy
and hard items: the number within each value, and the mean of these."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from assay.core.claims import Value
from assay.core.contrasts import COUNT, OfGroups
from assay.core.dependence import CARRIES, MOST_LEVELS, is_named
from assay.core.errors import ClaimError
from assay.core.heavy import scipy, xr
from assay.core.intervals import Means, Statistic
from assay.core.nouns import plural
from assay.core.rows import is_text
from assay.core.table_columns import RUNS

if TYPE_CHECKING:
    import pandas as pd

OF = ": "
"""What parts the values of fixed columns from the name of a term."""
CLEARLY = 0.1
"""Shares of two arms that differ by more are a reason to hold a column fixed."""
STEPS = 5
"""Steps of about equally many rows in which an amount, such as a length, is held fixed."""
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


def differ(rows: pd.DataFrame, units: Sequence[str], name: str, independent: bool) -> bool:
    """Whether arms have other shares of a column's values at the same units, or have units of their
    own."""
    if independent:
        return True
    values = rows[name].astype(str)
    counts = values.groupby([rows["arm"], *(rows[u] for u in units)]).value_counts(normalize=True)
    shares = counts.unstack("arm").fillna(0.0)
    return bool((shares.max(axis=1) - shares.min(axis=1) > 1e-9).any())


def shared(
    rows: pd.DataFrame, units: Sequence[str], fixed: Sequence[str], independent: bool
) -> np.ndarray:
    """Say of each row whether all arms have the values of its fixed columns, in two units at least:
    in the same ones where they have common units."""
    arms = rows["arm"].nunique()
    if independent:
        sizes = rows.groupby([*fixed, "arm"])[units[0]].nunique().unstack("arm").fillna(0)
        counts = sizes.min(axis=1)
    else:
        every = rows.groupby([*fixed, *units])["arm"].nunique() == arms
        counts = every.groupby(level=[*fixed]).sum()
    kept = counts[counts >= FEWEST_IN].index
    return np.asarray(rows.set_index([*fixed]).index.isin(kept))


def mixed(rows: pd.DataFrame, units: Sequence[str], skip: Sequence[str]) -> list[str]:
    """Name the columns of a few values of which arms have clearly different shares, by more than
    chance: where all rows of an arm with the same unit or run have one value, these are counted."""
    keys = [*units, *(r for r in RUNS if r in rows and r not in units)]
    few = [
        name
        for name in rows.columns
        if name not in ("arm", *keys, *skip)
        and 2 <= rows[name].nunique() <= MOST_LEVELS
        and not rows[name].isna().any()
        and is_named(rows[name])
    ]
    return [name for name in few if _differs(rows, keys, name, CARRIES / len(few))]


def amounts(rows: pd.DataFrame, units: Sequence[str], skip: Sequence[str]) -> dict[str, pd.Series]:
    """Give the columns of amounts of which arms have clearly different ones, by more than chance:
    those of many values in steps. Numbers that are yes and no are amounts as well."""
    keys = [*units, *(r for r in RUNS if r in rows and r not in units)]
    columns = [
        str(name)
        for name in rows.select_dtypes(["number", "bool"]).columns
        if name not in (*keys, *skip)
        and rows[name].nunique() > 1
        and not rows[name].isna().any()
        and (rows[name].nunique() > MOST_LEVELS or not is_named(rows[name]))
    ]
    found = {}
    for name in columns:
        values = rows[name]
        if values.nunique() > MOST_LEVELS:
            ranks = values.rank(method="average", pct=True)
            values = (STEPS * ranks).astype(int).clip(upper=STEPS - 1)
        if _differs(rows.assign(**{name: values}), keys, name, CARRIES / len(columns)):
            found[name] = values
    return found


def with_lengths(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows with the length of their texts, in words, next to each column of many texts."""
    texts = [x for x in rows if is_text(rows[x]) and rows[x].nunique() > MOST_LEVELS]
    lengths = {name: rows[name].map(lambda text: len(str(text).split())) for name in texts}
    return rows.assign(**{f"the length of {name}": x for name, x in lengths.items()})


def _differs(rows: pd.DataFrame, keys: Sequence[str], name: str, by_chance: float) -> bool:
    """Whether shares differ by more than a tenth, and by chance as rarely as this, by χ²."""
    sets = (list(k) for n in range(1, len(keys) + 1) for k in itertools.combinations(keys, n))
    alike = (k for k in sets if rows.groupby(["arm", *k])[name].nunique().max() == 1)
    counted = rows.drop_duplicates(["arm", *next(alike, [*rows.columns])])
    table = counted.groupby(["arm", name]).size().unstack(fill_value=0).to_numpy(float)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    chi, df = float(((table - expected) ** 2 / expected).sum()), np.prod(np.array(table.shape) - 1)
    return bool(
        np.ptp(table / table.sum(1, keepdims=True), axis=0).max() > CLEARLY
        and scipy.special.chdtrc(df, chi) < by_chance
    )


def in_words(rows: pd.DataFrame, name: str, arms: Sequence[str], units: Sequence[str]) -> str:
    """Say in which share of each arm a column has the value of which these differ most: is B in
    85% of steered's rows and in 15% of base's."""
    noun = "rows"
    if len(units) == 1 and rows.groupby(["arm", *units])[name].nunique().max() == 1:
        rows, noun = rows.drop_duplicates(["arm", *units]), plural(units[0], 2)
    counts = rows.groupby(["arm", name]).size().unstack(fill_value=0).loc[[*arms]]
    shares = 100 * counts.to_numpy(float) / counts.to_numpy(float).sum(1, keepdims=True)
    place = int((shares[0] - shares[1:].mean(0)).argmax())
    most, (first, *others) = counts.columns[place], zip(arms, shares[:, place], strict=True)
    whose = [f"in {first[1]:.0f}% of {first[0]}'s {noun}"]
    whose += [f"in {share:.0f}% of {arm}'s" for arm, share in others]
    return f"is {most} {', '.join(whose[:-1])} and {whose[-1]}"
