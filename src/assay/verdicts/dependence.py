"""Units that speak for fewer than they are: they share a group, repeat one another, follow one
another, or are missing. Each doubt asks the claim's number again with what is left of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import spatial, special
from scipy.cluster import hierarchy

from assay.notes import Note
from assay.verdicts.case import Case
from assay.verdicts.columns import as_numbers, codes, is_even, is_name, is_text, wordings
from assay.verdicts.rule import FEWEST, Interval, interval

FAR = 6.0
"""How much farther than by chance the nearest unit outside a set of copies is."""
MANY = 3_000
"""Of more units than this, no two are compared with each other."""
ALIKE = 0.25
"""The p-value of groups that do not differ, above which units are pooled; shared among columns. At
0.05 a claim at its threshold holds in up to 6% of tables of six templates, at 0.25 in 3%."""
CHANCE = 0.05
"""The p-value below which neighbours are alike, shared among all orders; one-sided."""

Limits = tuple[float, float]
Grouping = tuple[str, str, Interval, bool]
"""What units share, in how many groups, the interval by these, and whether they may decide."""


def open_by(case: Case, code: str, by: Interval | Limits | None, **data: object) -> Note | None:
    """A note with an interval, if there is one and the claim does not hold by that."""
    if by is None:
        return None
    limits = by.limits(case.h.level) if isinstance(by, Interval) else by
    low, high = np.clip(limits, *interval(case.whole).span)
    if case.h.outcome(low, high) == "holds":
        return None
    return Note(code, {**data, "low": float(low), "high": float(high)})


def doubtful(notes: Iterable[Note | None]) -> Note | None:
    """The first note that doubts, else the first, if there is one."""
    return min(filter(None, notes), key=lambda note: not note.doubt, default=None)


def groups(case: Case) -> Note | None:
    """Units share a level of a column, a wording, or a run, and differ by it.

    Six groups or more are units. Fewer are no sample of others: the claim is about these, and is
    open only if it is not true of each.

    Formula: the jackknife over groups; one-way analysis of variance.
    Source: Moulton 1986; Cameron, Gelbach and Miller 2011; Bancroft 1964 (the test before).
    """
    if len(case.units) > 1:
        return None
    return doubtful(
        open_by(case, "groups" if decide else "few-groups", i, column=name, n=n)
        for name, n, i, decide in (*_averaged(case), *_grouped(case))
    )


def _grouped(case: Case) -> Iterator[Grouping]:
    """Each kind of groups that differ, also those of rows in cycles; pairs of kinds that cross."""
    adds, kinds = case.by_unit["adds"].to_numpy(), _kinds(case)
    ways = [(name, of, ALIKE / len(kinds)) for name, of in kinds.items()]
    for k in range(2, len(adds) // 4 + 1) if len(adds) <= MANY and not case.fixed else ():
        ways.append((f"place in {k} rows", np.arange(len(adds)) % k, CHANCE / (len(adds) // 4)))
    for name, of, chance in ways:
        if f_test(adds, of) < chance:
            means = np.bincount(of, adds) / np.bincount(of)
            true_of_each = all(case.h.outcome(x, x) == "holds" for x in means)
            decide = len(means) >= FEWEST or not true_of_each
            yield name, str(len(means)), _by(case, {name: of}), decide
    for (a, x), (b, y) in itertools.combinations(kinds.items(), 2):
        if min(x.max(), y.max()) >= 2 and len({*zip(x, y, strict=True)}) == len(x):
            n = f"{x.max() + 1} × {y.max() + 1}"
            yield f"{a} × {b}", n, _by(case, {a: x, b: y}), True


def _by(case: Case, units: dict[str, np.ndarray]) -> Interval:
    """The interval of the claim's number with other units, each a code for each unit of its own."""
    at = case.by_unit.index.get_indexer(pd.Index(case.whole.units[case.units[0]]))
    units = {name: of[at] for name, of in units.items()}
    return interval(replace(case.whole, units=units, bounds=None))


def _kinds(case: Case) -> dict[str, np.ndarray]:
    """The group of each unit, by each column and by the wording of each text."""
    units = case.by_unit.drop(columns=["adds", *case.fixed], errors="ignore")
    columns = [x for _, x in units.items()]
    found = {str(x.name): codes(x) for x in columns}
    for x in (*columns, units.index.to_series(name=case.units[0])):
        if len(x) <= MANY and is_text(x):
            found[f"wording of {x.name}"] = wordings(x)
    return {name: of for name, of in found.items() if _may_group(of)}


def _may_group(of: np.ndarray) -> bool:
    """Whether these are several groups, of two units or more on average, and not one of all."""
    count = np.bincount(of)
    worth = (count**2.0).sum() ** 2 / (count**4.0).sum()
    return len(count) >= 2 and 2 * len(count) <= len(of) and worth > 1.5


def _averaged(case: Case) -> Iterator[Grouping]:
    """Columns that tell the averaged rows of a cell apart, such as runs: a second kind of unit."""
    rows, cell = case.levels, ["arm", *case.units, *case.dims]
    if not rows.duplicated(cell).any():
        return
    for name in rows.columns.difference([*cell, *case.numbers, *case.fixed]):
        n = rows[name].nunique()
        if 2 <= n <= len(rows) / 4 and not rows.duplicated([*cell, name]).any():
            own = case.rows["arm"] + "/" + case.rows[name].astype(str)
            crossed = replace(case, units=(*case.units, name))
            i = interval(crossed.sample(case.rows.assign(**{name: own})))
            yield str(name), str(n), i, True


def f_test(x: np.ndarray, of: np.ndarray) -> float:
    """The p-value of equal means of all groups, by one-way analysis of variance."""
    count, off = np.bincount(of), x - x.mean()
    means, k, n = np.bincount(of, off) / count, len(count), len(x)
    between, within = (count * means**2).sum(), ((off - means[of]) ** 2).sum()
    if not (within > 1e-20 * between and n > k):
        return 1.0 if between == 0 or n <= k else 0.0
    return float(special.fdtrc(k - 1, n - k, between / (k - 1) / (within / (n - k))))


def copies(case: Case) -> Note | None:
    """The numbers of units, in the arms that are compared, are nearly those of others.

    Formula: of independent points in d dimensions the median of k d log2(D_k+1 / D_k), D_k the
    distance to the k-th nearest, is about 1 for all k; each set of copies is then one unit.
    Source: Levina and Bickel 2004; Ward 1963 (the sets).
    """
    if len(case.units) > 1 or case.dims:
        return None
    rows = case.levels.drop_duplicates(["arm", *case.units])
    wide = rows.pivot(index=case.units[0], columns="arm", values=[*case.numbers])
    wide = wide.loc[:, [x.nunique() > x.notna().sum() / 2 for _, x in wide.items()]].dropna()
    (n, d), k = wide.shape, np.arange(1, len(wide) // 3)
    if not 2 * FEWEST <= n <= MANY or d < 1:
        return None
    x = ((wide - wide.mean()) / wide.std()).to_numpy()
    near = np.sort(spatial.distance.cdist(x, x), axis=1)[:, 1:].clip(1e-9)
    ratio = np.median(k * d * np.log2(near[:, k] / near[:, k - 1]), 0)
    if ratio.max() < FAR + (d == 1):
        return None
    size = int(np.argmax(ratio >= ratio.max() / 2)) + 2
    of = hierarchy.fcluster(hierarchy.ward(x), max(2, round(n / size)), "maxclust")
    at = wide.index.astype(str).get_indexer(pd.Index(case.whole.units[case.units[0]]))
    i = interval(replace(case.whole, units={"set": of[at]}, bounds=None))
    return open_by(case, "copies", i, n=int(of.max()))


def order(case: Case) -> Note | None:
    """Neighbours are alike, by the order of rows, by dates, or by evenly spaced places.

    Formula: n (1 - r) / (1 + r) units for a correlation r of neighbours.
    Source: Bartlett 1946; von Neumann 1941 (the test); Zwiers and von Storch 1995.
    """
    if len(case.units) > 1:
        return None
    orders, x, n = _orders(case), case.by_unit["adds"].to_numpy(), len(case.by_unit)
    fixed = [name for name in case.fixed if name in case.by_unit]
    means = case.by_unit.groupby(fixed)["adds"].transform("mean").to_numpy() if fixed else x.mean()
    for name, at in orders.items() if n >= 2 * FEWEST else ():
        off = (x - means)[np.argsort(at, kind="stable")]
        r = float((off[1:] * off[:-1]).sum() / max((off**2).sum(), 1e-300))
        if special.ndtr(-(r + 1 / n) * math.sqrt(n)) > CHANCE / 2 / len(orders):
            continue
        r = min((n * r + 1) / (n - 4), 0.99)
        worth = n * (1 - r) / (1 + r)
        i = interval(replace(case.whole, bounds=None, ends=None), case.h.folds)
        i = replace(i, variance=x.var(ddof=1) / worth, df=max(worth - 1, 1))
        data = {"column": name, "r": r, "n": n, "worth": worth}
        if note := open_by(case, "order", i, **data):
            return note
    return None


def _orders(case: Case) -> dict[str, np.ndarray]:
    """The place of each unit in each order. Sorting by a covariate is none."""
    units = case.by_unit.drop(columns="adds")
    labels = pd.to_numeric(units.index.to_series(), errors="coerce")
    columns = units.assign(**{case.units[0]: labels})
    numbers = {str(name): as_numbers(x) for name, x in columns.items()}
    known = {name: x for name, x in numbers.items() if x is not None and x.is_unique}
    even = {name: x for name, x in known.items() if is_name(columns[name]) or is_even(x)}
    by = [x for name, x in known.items() if name not in even]
    is_sorted = any(x.is_monotonic_increasing or x.is_monotonic_decreasing for x in by)
    rows = {} if is_sorted else {"row": np.arange(len(units))}
    return rows | {name: x.to_numpy() for name, x in even.items()}


def missing(case: Case) -> Note | None:
    """Units lack a number in an arm, which may be as low, or as high, as that of others there.

    Formula: the widest interval with each arm's missing numbers at its 5th or 95th percentile.
    Source: Manski 1990; Horowitz and Manski 2000 (worst-case bounds).
    """
    cell = [*case.units, *case.dims, *case.held, "arm"]
    rows: Any = case.levels.drop_duplicates(cell).set_index(cell)[[*case.numbers]]
    levelled = case.levels[[*case.dims]].notna().all(axis=None)  # an arm may have none
    if levelled and not (case.held or case.has_own_units(case.levels)):  # then none may be absent
        rows = rows.unstack("arm").stack("arm", future_stack=True)
    gone = int(rows.isna().any(axis=1).sum())
    if not gone:
        return None
    low, high = (rows.groupby(level="arm").transform("quantile", q) for q in (0.05, 0.95))
    arms, ends = rows.index.get_level_values("arm"), list[Limits]()
    for lows in itertools.product((True, False), repeat=len(case.compared)):
        is_low = arms.isin([*itertools.compress(case.compared, lows)])
        filled = rows.fillna(low[is_low]).fillna(high)
        i = interval(case.sample(filled.reset_index()), case.h.folds)
        ends.append(i.limits(case.h.level))
    lows, highs = np.transpose(ends)
    return open_by(case, "missing", (lows.min(), highs.max()), n=gone, of=len(rows))
