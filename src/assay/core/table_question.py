"""Table question: a claim or a quantity about a table: the rows and arms that it reads, and the
statement about their cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core import absent, apart, dependence, judging, strata
from assay.core import rows as rows_of
from assay.core import table_columns as noted
from assay.core.bounded import BoundedColumns
from assay.core.claims import Claim, Value, rival
from assay.core.columns import Column, are_at
from assay.core.dealing import DEAL, OTHERS
from assay.core.errors import ClaimError
from assay.core.expression import Parsed, range_of
from assay.core.heavy import xr
from assay.core.intervals import Interval
from assay.core.nouns import joined, plural
from assay.core.reasons import GIVEN
from assay.core.rows import Names
from assay.core.wordings import numbered

if TYPE_CHECKING:
    import pandas as pd

Arms = dict[str, "xr.Dataset"]


@dataclass(frozen=True)
class Roles:
    """The arms that an author names in addition to those in the claim."""

    controls: Names = ()
    planted: Names = ()
    allowed: Names = ()
    unlearned: Names = ()
    violations: Names = ()
    fixed: Names = ()
    """Columns, and no arms: the claim is about their levels only."""

    @property
    def named(self) -> Names:
        """All of these arms."""
        return (*self.controls, *self.planted, *self.allowed, *self.unlearned, *self.violations)

    @property
    def replacing(self) -> Names:
        """The arms that replace the arm under judgement."""
        return (*self.controls, *self.planted, *self.violations)


@dataclass(frozen=True)
class Question:
    """A claim or a quantity, and the rows that it reads."""

    rows: pd.DataFrame
    source: str
    parsed: Parsed
    axes: Names
    """The units, and the column that a curve goes over."""
    main: str
    known: Names
    """The arms of the table."""
    labels: Names
    """Columns that distinguish rows of one cell."""
    fixed: Names = ()
    """Those that the author calls fixed, over which a column that does not name them is
    averaged."""
    about: str = ""
    """The main arm, if the author names it."""
    strata: Names = ()
    """The fixed columns of which arms may have different shares, so that the number is the mean of
    those within their values."""

    @property
    def columns(self) -> list[str]:
        """The columns of numbers that it reads."""
        return list(dict.fromkeys(c.name for c in self.parsed.columns))

    @property
    def taken(self) -> Names:
        """The columns that it reads or that are known to tell rows apart."""
        return ("arm", *self.axes, *self.labels, *self.fixed, *self.columns)

    @property
    def compared(self) -> Names:
        """The arm that it is about and those that it names."""
        return tuple(dict.fromkeys((self.main, *self.parsed.arms)))

    @property
    def others(self) -> Names:
        """The arms that it does not name."""
        return tuple(arm for arm in self.known if arm not in self.compared)

    @property
    def is_open(self) -> bool:
        """Whether the claim compares arms and may be about any of them, so that others may take
        the place of any; a column without an arm is the main one's."""
        several = self.compared[1:] and all(c.arm for c in self.parsed.columns)
        return bool(several and self.others and not self.about)

    def levels_of(self, column: str) -> str:
        """Say how many levels a column has that the claim is about."""
        rows = self.read
        chosen = {c.levels for c in self.parsed.columns if column in c.over}
        for dim, level in chosen.pop() if len(chosen) == 1 else ():
            rows = rows[are_at(rows[dim], [level])]
        parts = [r for c in self.parsed.columns for r in c.ranges if r[0] == column]
        if parts:
            rows = rows[[any(a <= x < b for _, a, b in parts) for x in rows[column]]]
        count, of_arms = rows[column].nunique(), rows.groupby("arm")[column].nunique()
        few = [f"{arm} has {n}" for arm, n in of_arms.items() if n < count]
        of_which = f", of which {joined(few)}" if few else ""
        return f"{dependence.groups_in_words(column, count)}{of_which}"

    @property
    def stay(self) -> Names:
        """The columns over whose levels something is taken without generalising over them: those
        that are fixed, and those that the claim names, unless each unit has levels of its own."""
        over = (d for c in self.parsed.columns for d in c.over if not self._is_nested(d))
        return tuple(dict.fromkeys((*self.fixed, *over)))

    @property
    def held(self) -> Names:
        """The fixed columns at whose values arms are compared, and that do not tell the rows of a
        cell apart."""
        return tuple(x for x in self.fixed if x not in (*self.labels, *noted.RUNS))

    @property
    def averaged(self) -> Names:
        """The labels over which a column that does not name them is averaged, as nothing else can
        be meant: items, such as prompts, that each belong to one level of a unit."""
        named = {*self.fixed, *(d for c in self.parsed.columns for d in c.named)}
        items = (d for d in self.labels if noted.ITEMS.search(d) and d not in named)
        return tuple(filter(self._is_nested, items))

    def worded(self) -> Question:
        """The question with columns of the wordings, and of what fills them, of texts whose mean in
        each unit is read, where no column says the same."""
        means = (c for c in self.parsed.columns if c.how == "mean" and not c.ranges)
        read = {*self.averaged, *(d for c in means for d in c.over)}
        said = {tuple(numbered([*self.rows[d]])) for d in (*self.axes, *self.stay)}
        columns: dict[str, pd.Series] = {}
        for d in (d for d in self.labels if d in read and self._is_nested(d)):
            texts = self.rows[d].drop_duplicates()
            ways = dependence.worded(d, texts.set_axis(texts)) if rows_of.is_text(texts) else {}
            columns |= {way: self.rows[d].map(of) for way, of in ways.items()}
        columns = {way: of for way, of in columns.items() if tuple(numbered([*of])) not in said}
        return replace(self, rows=self.rows.assign(**columns))

    def scope(self, words: str) -> str:
        """Add to what a number is about that it is averaged."""
        means = (f"each the mean over its {plural(d, 2)}" for d in self.averaged)
        return "; ".join(filter(None, (*means, words)))

    def _is_nested(self, column: str) -> bool:
        """Whether levels each belong to one level of a unit, such as the prompts of a topic."""
        return any(self._belongs(column, unit) for unit in self.axes)

    def _belongs(self, inner: str, outer: str) -> bool:
        """Whether every level of one column belongs to one of the several levels of another."""
        levels = self.rows.groupby(inner)[outer]
        return self.rows[outer].nunique() > 1 and bool(levels.nunique().max() == 1)

    @property
    def read(self) -> pd.DataFrame:
        """The rows of the arms that are compared."""
        return self.of(self.compared)

    @property
    def at_its_levels(self) -> Question:
        """The question on the rows at the levels that all of its columns name, such as step=10000,
        so that what is said of other columns is said of these rows."""
        rows, columns = self.rows, [dict(c.levels) for c in self.parsed.columns]
        for dim in (d for d in columns[0] if all(d in c for c in columns)):
            rows = rows[are_at(rows[dim], [c[dim] for c in columns])]
        return self if len(rows) == len(self.rows) else replace(self, rows=rows)

    def of(self, arms: Sequence[str] | Arms) -> pd.DataFrame:
        """Choose the rows of these arms."""
        return self.rows[self.rows["arm"].isin(list(arms))]

    def cells(self, arm: str, columns: Sequence[Column]) -> tuple[xr.Dataset, list[str]]:
        """The numbers of one arm in these columns, with the axes as dims, and what was done to its
        rows. Raises: ClaimError."""
        rows, axes = self.of([arm]), (*self.axes, *self.strata, *self.labels)
        names = list(dict.fromkeys(c.name for c in columns))
        grouped = rows.groupby([*axes], sort=True)[names]
        # one missing row makes its cell missing
        cells = grouped.mean().where(grouped.count().eq(grouped.size(), axis=0))
        notes = []
        if len(cells) < len(rows):
            notes.append(
                f"{arm}: {len(rows):,} rows averaged into {len(cells):,} "
                f"{plural('cell', len(cells))} of {' × '.join(axes)}"
            )
        whole = xr.Dataset.from_dataframe(cells)
        there = xr.DataArray.from_series(grouped.size()).notnull()
        data = xr.Dataset({c.key: self._taken(c, whole[c.name], there) for c in columns})
        present = data.to_array().notnull().all("variable")
        missing = int(present.size - present.sum())  # combinations that no row has among them
        if self.strata:  # of which most are none
            missing = int((there.any(self.labels) & ~present).sum())
            data = data.reindex({d: sorted(self.rows[d].unique()) for d in present.dims})
        if missing:
            cell = plural("cell", missing)
            notes.append(f"{arm}: {missing:,} {cell} with a missing number left out")
        return data, notes

    def _taken(self, column: Column, x: xr.DataArray, there: xr.DataArray) -> xr.DataArray:
        """What a column takes of the cells; of a mean over levels that each belong to one level of
        a unit, such as the prompts of a topic, or the reverse, those that a unit has (`there`)."""
        fixed = tuple(d for d in self.fixed if d in self.labels and d not in column.named)
        over = tuple(d for d in column.over if d not in self.axes)  # it generalises over units
        if column.over and column.how != "mean":
            x, there = x.mean(fixed, skipna=False), there.any(fixed)
        else:
            column = replace(column, over=(*over, *fixed, *self.averaged))
        x, there = self._existing(column, x, there)
        if column.how != "mean" and (own := [*filter(self._is_nested, column.over)]):
            each = next(u for u in self.axes if self._belongs(own[0], u))
            mean_of = replace(column, how="mean", over=tuple(own), beyond=None)
            raise ClaimError(
                f"each {each} has {plural(own[0], 2)} of its own, over which only the mean of a "
                f"column can be taken: write {mean_of}, for each arm by itself"
            )
        pairs = [(d, unit) for d in column.over for unit in self.axes]
        whole = not any(self._belongs(*pair) or self._belongs(*pair[::-1]) for pair in pairs)
        units = (*self.axes, *self.strata)
        if column.how != "mean" or whole:
            return column.take(x, units)
        share = column.take(there.astype(float), units)
        return column.take(x.where(there, 0.0), units) / share.where(share > 0)

    def _existing(
        self, column: Column, x: xr.DataArray, there: xr.DataArray
    ) -> tuple[xr.DataArray, xr.DataArray]:
        """The cells over which a column takes something, without combinations of levels that no
        unit has, as where each item belongs to one template. Those of several columns become levels
        of the first, so that anything can be taken over them."""
        chosen = {d: [column.place(d, k, x[d].values.tolist())] for d, k in column.levels}
        over = [dim for dim in column.over if dim in x.dims and dim not in self.axes]
        exists = there.isel(chosen).any([dim for dim in x.dims if dim not in over])
        if not over or column.ranges or bool(exists.all()):
            return x, there
        keep = exists.transpose(*over).values.ravel()
        both = xr.Dataset({"x": x, "there": there}).isel(chosen)
        both = both.stack(cell=over, create_index=False).isel(cell=keep)
        levels = [both[d].values for d in over]
        names = [", ".join(map(str, k)) if over[1:] else k[0] for k in zip(*levels, strict=True)]
        both = both.drop_vars(over).rename(cell=over[0]).assign_coords({over[0]: names})
        both = both.expand_dims({d: [""] for d in over[1:]})
        return both["x"], both["there"]


def measure(question: Question, roles: Roles) -> tuple[Arms, list[str]]:
    """The cells of every arm that has what the claim reads, and what was done to the rows of those
    that the author names. Raises: ClaimError."""
    parsed, main = question.parsed, question.main
    used = dict.fromkeys((*question.compared, *roles.replacing))
    arms: Arms = {}
    notes: list[str] = []
    every = dict.fromkeys((*used, *question.known))
    for arm in every:
        judged = arm == main or arm not in parsed.arms
        read_by = (None, main) if judged else (arm,)
        named = [c for c in parsed.columns if c.arm in read_by]
        columns = [replace(c, arm=arm) for c in named] if len(every) > 1 else named
        try:
            arms[arm], reported = question.cells(arm, columns)
        except ClaimError:
            if arm in used:  # any other arm that lacks what the claim reads has no answer to give
                raise
            continue
        notes += reported if arm in used else []
    return absent.put(arms, question.compared, question.axes), notes


def claim_of(
    question: Question, roles: Roles, bounds: tuple[float, float] | None, independent: bool
) -> Claim:
    """The claim about a table's cells."""
    parsed = question.parsed
    return Claim(
        text=parsed.text,
        **_number_of(question, independent),
        low=parsed.low,
        high=parsed.high,
        of=question.main,
        must_fail=roles.controls,
        must_hold=roles.planted,
        violations=roles.violations,
        fixed=tuple(map(question.levels_of, question.stay)),
        also=dict.fromkeys(roles.allowed, rival("named by the user")),
        bounds=None if independent or question.strata else bounds,
        natural=natural_of(question.rows, parsed),
        ceiling=_ceiling(question.rows, parsed, question.main, question.strata),
        threshold_from=GIVEN,
        source=question.source,
    )


def restated(claim: Claim, question: Question, independent: bool = False) -> Claim:
    """The claim with the number that another question has."""
    return replace(claim, **_number_of(question, independent), bounds=None)


def asked_again(
    claim: Claim,
    question: Question,
    level: float,
    independent: bool = False,
    roles: Roles | None = None,
) -> Interval:
    """The number of a claim, and its interval, by another question. Raises: ClaimError."""
    claim = restated(claim, question, independent)
    return judging.standing(claim, measure(question, roles or Roles())[0], level)[0]


def _number_of(question: Question, independent: bool) -> dict[str, Any]:
    """What a claim needs of a question to compute its number."""
    parsed, main, units, fixed = question.parsed, question.main, question.axes, question.strata
    if independent:
        parsed = apart.by_means(parsed, main, bool(fixed))
    elif fixed:
        parsed = replace(parsed, statistic=strata.of_each(parsed.statistic, strata=True))
    value = value_of(parsed, main)
    value = strata.put(value, units, fixed) if independent or fixed else value
    return {"units": units, "value": value, "statistic": parsed.statistic}


def hold_fixed(question: Question, independent: bool) -> tuple[Question, list[str]]:
    """The question with the fixed columns as strata of which arms may have different shares, on the
    rows whose values all arms have, and notes on these. Raises: ClaimError where there are none."""
    rows = question.read.dropna(subset=question.columns)
    columns = strata.needed(rows, question.axes, question.held, independent)
    if not columns:
        return question, []
    shared = strata.shared(rows, question.axes, columns, independent)
    names, kept = joined(columns), rows[shared]
    every, several = joined(question.compared), columns[1:]
    if kept.empty:
        value = "combination of their values" if several else "value of it"
        raise ClaimError(
            f"{names} cannot be held fixed: {every} have no {value} in common, in "
            f"{strata.FEWEST_IN} units each, within which they could be compared"
        )
    each = "combination of their values" if several else "of its values"
    notes = [
        f"{names} held fixed: the number is the mean of those within each {each}, all with the "
        "same weight"
    ]
    here = question.rows.set_index([*columns]).index
    there = here.isin(kept.set_index([*columns]).index)
    left = rows.loc[~shared, [*columns]].drop_duplicates().to_numpy()
    if out := [", ".join(map(str, x)) for x in left]:
        few, more = out[: noted.MOST_NAMED], len(out) - noted.MOST_NAMED
        shown = ("; " if several else ", ").join([*few, *[f"{more} more"] * (more > 0)])
        notes.append(f"rows with {names} {shown} are left out: not in two units of {every}")
    return replace(question, rows=question.rows[there], strata=columns), notes


def value_of(parsed: Parsed, main_arm: str) -> Value:
    """Make the function of the arms' cells that a text compares or estimates."""

    def value(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> dict[str, xr.DataArray]:
        dealt = OTHERS in arm.attrs
        others = arm.attrs[OTHERS] if dealt else arms

        def numbers(c: Column) -> xr.DataArray:
            read.append((arm if c.arm is None or c.arm == main_arm else others[c.arm])[c.key])
            return read[-1]

        terms = {}
        for term, walk in parsed.terms.items():
            read: list[xr.DataArray] = []
            with np.errstate(all="ignore"):  # reported below, in one line
                terms[term] = walk(numbers)
            # left out silently, such units would leave a mean over those that the function happens
            # to accept
            lost = int((np.isnan(terms[term]) & ~reduce(or_, map(np.isnan, read))).sum())
            if lost:
                raise ClaimError(
                    f"{parsed.text if term == 'value' else term} is not a number in {lost} "
                    f"{plural('cell', lost)}: a log or root of a negative number, or 0/0; judge "
                    "another quantity"
                )
        # What comes of all deals on average is one number a unit.
        return {t: x.mean(DEAL, skipna=False) for t, x in terms.items()} if dealt else terms

    return value


def _ceiling(
    rows: pd.DataFrame, parsed: Parsed, main_arm: str, strata: Names
) -> BoundedColumns | None:
    """The column by which arms are compared, with bounds if it is 0 or 1 in every row."""
    columns = [replace(c, arm=c.arm or main_arm) for c in parsed.columns]
    if len(columns) < 2 or len({c.key for c in columns}) > 1:
        return None
    return BoundedColumns(
        columns,
        (0.0, 1.0) if _are_shares(rows, columns) else None,
        lambda arm, c: arm[c.key],
        lambda c: c.key,
        main_arm,
        is_change=True,  # a table does not say; undecided is the safer of the two
        strata=strata,
    )


def natural_of(rows: pd.DataFrame, parsed: Parsed) -> tuple[float, float] | None:
    """The bounds of the claimed quantity, where it is a share of units, or where every column is
    0 or 1 in every row; None where the table does not say so."""
    if parsed.share:
        return 0.0, 1.0
    return range_of(parsed, 0.0, 1.0) if _are_shares(rows, parsed.columns) else None


def _are_shares(rows: pd.DataFrame, columns: Sequence[Column]) -> bool:
    """Whether columns are 0 or 1 in every row."""
    return all(bool(rows[c.name].dropna().isin((0, 1)).all()) for c in columns)
