"""Cases: a claim about the rows of a table, with all that may be asked of it."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from assay.errors import AssayError, ClaimError, DataError
from assay.verdicts import reading
from assay.verdicts.columns import restates, steps
from assay.verdicts.conditions import Condition
from assay.verdicts.rows import LARGEST
from assay.verdicts.rule import Hypothesis, Interval, Sample, interval, mean_of

Measures = tuple[dict[str, xr.Dataset], xr.DataArray]
"""The numbers of each arm, and which levels some arm has at which units."""


@dataclass(frozen=True, eq=False)
class Case:
    """A claim about the rows of a table, with all that its doubts may ask.

    Attributes:
        h: the claim as the rule reads it.
        fixed: columns over whose values the claim does not generalise.
        results: columns that the arm causes, as it causes the number that is judged.
        leveled: columns whose levels are never averaged unless the claim says so.
    """

    rows: pd.DataFrame
    condition: Condition
    h: Hypothesis
    units: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    leveled: tuple[str, ...] = ()
    bounds: tuple[float, float] | None = None

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """Every arm of the table, in its order."""
        return tuple(dict.fromkeys(self.rows["arm"]))

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """The arms that the number is computed from, the one that is judged first."""
        return tuple(dict.fromkeys((self.h.of, *self.condition.arms)))

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """The columns that the claim reads."""
        return tuple(dict.fromkeys(c.name for c in self.condition.columns))

    @cached_property
    def named(self) -> tuple[str, ...]:
        """The arms that are compared, and those for and against the claim."""
        controls = [arm for control in self.h.controls for arm in control.arms]
        return tuple(dict.fromkeys((*self.compared, *controls, *self.h.found, *self.h.missed)))

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """The columns of which the claim names a level or takes something over."""
        levels = [dim for c in self.condition.columns for dim, _ in c.levels]
        by_arm = self.rows[self.rows["arm"].isin(self.named)].groupby("arm")
        varied = [c for c in self.leveled if by_arm[c].nunique().max() > 1]
        every = dict.fromkeys((*self.condition.over, *levels, *varied))
        return tuple(d for d in every if d not in self.units)

    @cached_property
    def held(self) -> tuple[str, ...]:
        """The fixed columns that arms may have other shares of: pairs of units do not hold them
        fixed. Each of their values, or of five steps of a number, counts equally in all arms."""
        rows = self.rows[self.rows["arm"].isin(self.named)]
        cells = rows.groupby([*self.units, *self.dims], dropna=False)
        own = len(self.named) > 1 and self.has_own_units(rows)
        fixed = [c for c in self.fixed if c in rows and c not in {*self.units, *self.dims}]
        return tuple(c for c in fixed if own or cells[c].nunique(dropna=False).max() > 1)

    def measures(self, rows: pd.DataFrame) -> Measures:
        """The numbers of each arm over units and levels; rows of one cell are averaged, and a cell
        of which a number is missing has none. A level that less than half of the units have, such
        as an item of a template, is one of every arm."""
        cells = rows[[*self.units, *self.dims]].dropna().drop_duplicates()
        there = xr.DataArray(cells.assign(there=True).set_index([*cells])["there"].to_xarray() == 1)
        few, named = dict[str, np.ndarray](), rows[rows["arm"].isin(self.named)]
        for dim in self.condition.over:
            share = there.any([*{*self.dims} - {dim}]).mean([*self.units]).to_numpy()
            few[dim] = (share < 0.5) & there.get_index(dim).isin(named[dim])
        arms = dict[str, xr.Dataset]()
        for arm, of in rows.groupby("arm", sort=False):
            keys = [*self.units, *(d for d in self.dims if of[d].notna().any())]
            if math.prod(of[key].nunique() for key in keys) > LARGEST:
                raise DataError("too-large", f"{' × '.join(keys)} are too many cells", str(arm))
            cells = of.set_index(keys)[[*self.numbers]]
            if not cells.index.is_unique:
                same = cells.groupby(keys, sort=False)
                cells = same.mean().where(same.count().eq(same.size(), axis=0))
            x = cells.to_xarray()
            every = {dim: there.get_index(dim) for dim in few if dim in x.dims}
            levels = {d: of[of.isin(x.get_index(d)) | few[d]] for d, of in every.items()}
            arms[str(arm)] = x.reindex(levels)
        return arms, there.assign_coords({u: there[u].astype(str) for u in self.units})

    def strata(self, rows: pd.DataFrame) -> list[Measures]:
        """The measures at each value of what is held fixed."""
        if held := [steps(rows[c]) for c in self.held if c in rows]:
            return [self.measures(of) for _, of in rows.groupby(held)]
        return [self.measures(rows)]

    @cached_property
    def measured(self) -> list[Measures]:
        """The measures by all rows."""
        return self.strata(self.rows)

    def sample(self, rows: pd.DataFrame, arm: str = "", main: str = "") -> Sample:
        """What decides the claim, by these rows, with an arm in the method's place. Raises:
        ClaimError: they lack what it names, or no value that is held fixed is in all arms."""
        main, found = main or self.h.of, list[Sample]()
        strata = self.measured if rows is self.rows else self.strata(rows)
        for arms, there in strata:
            with suppress(*[ClaimError] * (len(strata) > 1)):
                swap = {main: arm or main}
                found += [reading.sample(self.condition, arms, self.units, main, swap, there)]
        if not found:
            named = " and ".join(self.held)
            raise ClaimError("no-overlap", f"the arms share no {named}, which cannot be held fixed")
        sample = mean_of(found)
        return replace(sample, bounds=self.bounds, exact=True) if self.bounds else sample

    @cached_property
    def whole(self) -> Sample:
        """What decides the claim."""
        return self.sample(self.rows)

    def again(self, rows: pd.DataFrame, arm: str = "") -> Interval | None:
        """The interval of the claim's number by other rows, or of another arm, if there is one."""
        with suppress(AssayError):
            return interval(self.sample(rows, arm), self.h.folds)
        return None

    def at_levels(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows at the levels that every column of the claim names."""
        for dim, level in set.intersection(*(set(c.levels) for c in self.condition.columns)):
            rows = rows[reading.is_level(rows[dim].to_numpy(), level)]
        return rows

    @cached_property
    def levels(self) -> pd.DataFrame:
        """The rows of the arms that are compared, at the levels that the claim names."""
        return self.at_levels(self.rows[self.rows["arm"].isin(self.compared)])

    @cached_property
    def by_unit(self) -> pd.DataFrame:
        """A row for each unit of the only kind, in the order of the table: `adds`, what it adds to
        the number, and the columns that are the same in all its rows and do not restate this."""
        rows, (unit, *_) = self.levels, self.units
        by_unit = rows.drop(columns=[unit, "arm"]).groupby(rows[unit].astype(str), sort=False)
        first, known = by_unit.first(), by_unit.nunique(dropna=False).max() <= 1
        adds = pd.Series(interval(self.whole).points, np.unique(self.whole.units[unit]))
        taken = (*self.numbers, *self.results)
        names = [c for c in map(str, first) if known[c] and c not in taken]
        table = first.loc[first.index.isin(adds.index)][names].assign(adds=adds)
        return table[[c for c in names if not restates(table[c], table["adds"])] + ["adds"]]

    def others(self, rows: pd.DataFrame) -> list[str]:
        """The columns that the claim does not read, and that are not all one value."""
        taken = {"arm", *self.units, *self.dims, *self.numbers, *self.fixed, *self.results}
        return [str(c) for c in rows if c not in taken and rows[c].nunique(dropna=False) > 1]

    def has_own_units(self, rows: pd.DataFrame) -> bool:
        """Whether most units are in one arm only."""
        shared = rows.groupby(self.units[0])["arm"].nunique() > 1
        return bool(shared.mean() < 0.5)
