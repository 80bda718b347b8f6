"""Shares: of which columns of a table the arms have different shares or amounts, such as of easy
items, by themselves or at the same values of another column, and what is said of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from assay.core import digits
from assay.core.dependence import CARRIES, MOST_LEVELS, is_named
from assay.core.heavy import scipy
from assay.core.nouns import joined, plural
from assay.core.rows import is_text
from assay.core.table_columns import DATE, RUNS
from assay.core.wordings import numbered

if TYPE_CHECKING:
    import pandas as pd

CLEARLY = 0.1
"""The share of rows of which a column would have to have another value in one arm, for the arms to
have equal shares, from which it is a reason to hold the column fixed."""
HOURS, LENGTH = "hours since the first ", "the length of "
"""How amounts are called that a column of texts says: `started`, `text`."""
MISSING = "missing"
"""What a value that is not there is called."""
STEPS = 5
"""Steps of about equally many rows in which an amount, such as a length, is held fixed."""

Sets = list[tuple[str, ...]]


@dataclass(frozen=True)
class Shares:
    """The shares that arms have of the values of columns, at each value of those that are fixed."""

    rows: pd.DataFrame
    units: Sequence[str]
    fixed: Sequence[str]
    columns: Mapping[str, pd.Series]
    """The values of each column, few of them."""

    def differ(self, sets: Sequence[Sequence[str]]) -> Sets:
        """Choose the sets of columns of each of which arms have clearly different shares at the
        same values of the others, by more than chance, also as one of so many sets."""
        by_chance = CARRIES / max(1, len(sets))
        return [
            tuple(names)
            for names in sets
            if all(self._differs(x, [y for y in names if y != x], by_chance) for x in names)
        ]

    def _differs(self, name: str, others: Sequence[str], by_chance: float) -> bool:
        """Whether shares differ by more than a tenth, and by chance as rarely as this, by χ² at
        each value of the others and of the fixed columns."""
        place = combined(self._fixed, *(self._codes[y] for y in others))
        of, arm = self._codes[name], self._arm
        counts = np.zeros([x.max() + 1 for x in (place, arm, of)])
        np.add.at(counts, (place, arm, of), self._weights[name])
        of_arm, of_value = counts.sum(2, keepdims=True), counts.sum(1, keepdims=True)
        expected = of_arm * of_value / of_arm.sum(1, keepdims=True)
        with np.errstate(all="ignore"):
            chi = float(np.nansum((counts - expected) ** 2 / expected))
            shares = np.where(of_arm > 0, counts / of_arm, np.nan)
            apart = (np.fmax.reduce(shares, 1) - np.fmin.reduce(shares, 1)).sum(1) / 2
        free = [(x > 0).sum((1, 2)) - 1 for x in (of_arm, of_value)]
        df = int(np.prod(free, axis=0).sum())
        by_rows = float(apart @ counts.sum((1, 2)) / counts.sum())
        return df > 0 and by_rows > CLEARLY and bool(scipy.special.chdtrc(df, chi) < by_chance)

    @cached_property
    def _arm(self) -> np.ndarray:
        return numbered(self.rows["arm"].tolist())

    @cached_property
    def _codes(self) -> dict[str, np.ndarray]:
        return {name: numbered(x.tolist()) for name, x in self.columns.items()}

    @cached_property
    def _fixed(self) -> np.ndarray:
        return combined(
            np.zeros(len(self.rows), int), *(numbered(self.rows[x].tolist()) for x in self.fixed)
        )

    @cached_property
    def _weights(self) -> dict[str, np.ndarray]:
        """What each row counts: where all rows of an arm with the same unit or run have one value
        of a column, these together count 1."""
        keys = [*self.units, *(r for r in RUNS if r in self.rows and r not in self.units)]
        sets = (k for n in range(1, len(keys) + 1) for k in itertools.combinations(keys, n))
        codes = {key: numbered(self.rows[key].tolist()) for key in keys}
        groups = [combined(self._arm, *(codes[key] for key in k)) for k in sets]
        weights = {}
        for name, of in self._codes.items():
            alike = (g for g in groups if combined(g, of).max() == g.max())
            one = next(alike, np.arange(len(of)))
            weights[name] = 1 / np.bincount(one)[one]
        return weights


def combined(*codes: np.ndarray) -> np.ndarray:
    """Number the combinations of values, of which each is numbered from 0."""
    first, *others = codes
    for of in others:
        first = np.unique(first * (of.max(initial=0) + 1) + of, return_inverse=True)[1]
    return first


def named(rows: pd.DataFrame, skip: Sequence[str]) -> dict[str, pd.Series]:
    """Give the columns of a few values that are names, or count something up, where a missing one
    is a value like others."""
    found = {}
    for name in (x for x in rows.columns if x not in ("arm", *RUNS, *skip)):
        values = rows[name]
        if 2 <= values.nunique(dropna=False) <= MOST_LEVELS and is_named(values):
            there = values.notna()
            found[str(name)] = values if there.all() else values.astype(str).where(there, MISSING)
    return found


def amounts(rows: pd.DataFrame, skip: Sequence[str]) -> dict[str, pd.Series]:
    """Give the columns of amounts, those of many values in steps, of which one has the missing
    ones. Numbers that are yes and no are amounts as well."""
    found = {}
    for name, values in rows.select_dtypes(["number", "bool"]).items():
        if name in (*RUNS, *skip) or values.nunique() < 2:
            continue
        if values.nunique() > MOST_LEVELS:
            steps = (STEPS * values.rank(method="average", pct=True)).clip(upper=STEPS - 1)
            found[str(name)] = steps.fillna(-1).astype(int)
        elif not is_named(values) and not values.isna().any():
            found[str(name)] = values
    return found


def with_amounts(rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows with what texts say in numbers next to each column of many texts: the hours since
    the first date, where these are dates, and otherwise the length in words."""
    import pandas as pd

    found: dict[str, pd.Series] = {}
    for name in (x for x in rows if is_text(rows[x]) and rows[x].nunique() > MOST_LEVELS):
        texts = rows[name].fillna("").astype(str)
        times = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
        if texts.str.match(DATE).all() and times.notna().all():
            found[f"{HOURS}{name}"] = (times - times.min()).dt.total_seconds() / 3600
        else:
            found[f"{LENGTH}{name}"] = texts.map(lambda text: len(text.split()))
    return rows.assign(**found)


def in_words(
    rows: pd.DataFrame, names: Sequence[str], arms: Sequence[str], units: Sequence[str]
) -> str:
    """Say in which share of each arm columns have the values of which these differ most: is B in
    85% of steered's rows and in 15% of base's."""
    noun, each = "rows", rows.drop_duplicates(["arm", *units, *names])
    if len(units) == 1 and not each.duplicated(["arm", *units]).any():
        rows, noun = each, plural(units[0], 2)
    counts = rows.groupby([*names, "arm"]).size().unstack(fill_value=0)[[*arms]]
    shares = 100 * counts.to_numpy(float) / counts.to_numpy(float).sum(0)
    place = int((shares[:, 0] - shares[:, 1:].mean(1)).argmax())
    most = counts.index[place]
    value = f"are {joined(most)}" if names[1:] else f"is {most}"
    (first, share), *others = zip(arms, shares[place], strict=True)
    whose = [f"in {share:.0f}% of {first}'s {noun}"]
    whose += [f"in {x:.0f}% of {arm}'s" for arm, x in others]
    return f"{value} {joined(whose)}"


def means_in_words(rows: pd.DataFrame, name: str, arms: Sequence[str], where: str = "") -> str:
    """Say which amounts arms have on average, with `where`, at the value of this column at which
    they differ most: is 30.9 in steered and 20 in base on average."""
    means, at = rows.groupby("arm")[name].mean()[[*arms]].to_numpy(float), ""
    if where:
        each = rows.groupby([where, "arm"])[name].mean().unstack()[[*arms]]
        numbers = each.to_numpy(float)
        apart = np.nan_to_num(np.ptp(numbers, axis=1))  # where an arm has no row, not a number
        if apart.any():
            place = int(apart.argmax())
            means, at = numbers[place], f" where {where} is {each.index[place]}"
    shown = zip(digits.told_apart(*means), arms, strict=True)
    return f"is {joined([f'{x} in {arm}' for x, arm in shown])} on average{at}"
