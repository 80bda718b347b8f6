"""Units that speak for fewer than they are: they share a group, repeat one another, follow one
another, or some are missing. Each doubt asks the claim's number again with what is left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy import spatial, special
from scipy.cluster import hierarchy

from assay.notes import Note
from assay.verdicts.columns import (
    as_numbers,
    codes,
    is_even,
    is_name,
    is_text,
    wordings,
)
from assay.verdicts.rule import FEWEST, Interval, Verdict, interval

if TYPE_CHECKING:
    from assay.verdicts.table import Case

FAR = 6.0
"""How much farther than by chance the nearest unit outside a set of copies is."""
MANY = 3_000
"""Of more units than this, no pair is compared with another."""
CHANCE = 0.05
"""The p-value below which units of a kind of groups differ, shared among all that are tried."""

Limits = tuple[float, float]


def limits_of(case: Case, i: Interval) -> Limits:
    """The limits of an interval at the claim's level; everything where it has none."""
    low, high = i.limits(case.h.level)
    return (low, high) if math.isfinite(high - low) else (-math.inf, math.inf)


def open_by(case: Case, code: str, limits: Limits, **data: object) -> Note | None:
    """A note with these limits, if the claim does not hold by them."""
    if case.h.outcome(*limits) == "holds":
        return None
    return Note(code, {**data, "low": limits[0], "high": limits[1]})


# ---- groups --------------------------------------------------------------------------------------


class _Grouping(NamedTuple):
    """Units in groups.

    Attributes:
        chance: the p-value of groups that do not differ.
        decides: whether a claim that does not hold with the groups as units is open; otherwise
            they are too few to be a sample of others, and the claim is about these.
    """

    name: str
    n: str
    chance: float
    limits: Limits
    decides: bool


def groups(case: Case, v: Verdict) -> Note | None:
    """Units share a level of a column, a wording, a place in a cycle of rows, or a run.

    Six groups or more are units. Fewer are no sample of others: the claim is about these, and
    open only if they differ and it is not true of the mean of each.

    Formula: the jackknife over groups; one-way analysis of variance.
    Source: Moulton 1986; Cameron, Gelbach and Miller 2011; Bancroft 1964 (a test before).
    """
    found = list(_averaged(case))
    if len(case.units) == 1:
        named = _named(case)
        found += [*_grouped(case, named), *_crossed(case, named)]
    for g in sorted(found, key=lambda g: (not g.decides, g.chance)):
        code = "groups" if g.decides else "few-groups"
        if note := open_by(case, code, g.limits, column=g.name, n=g.n):
            return note
    return None


def _named(case: Case) -> dict[str, tuple[np.ndarray, bool]]:
    """The groups of each column and wording, and whether it only names them."""
    units = case.by_unit.drop(columns=["adds", *case.fixed], errors="ignore")
    found = {str(c): (codes(x), is_name(x)) for c, x in units.items()}
    labels = units.index.to_series(name=case.units[0])
    for x in (*(x for _, x in units.items()), labels):
        if is_text(x) and len(x) <= MANY:
            found[f"wording of {x.name}"] = (wordings(x), True)
    return {name: g for name, g in found.items() if _may_group(g[0])}


def _may_group(of: np.ndarray) -> bool:
    """Whether codes name several groups, of two units or more on average, and not one of all."""
    count = np.bincount(of)
    worth = (count**2.0).sum() ** 2 / (count**4.0).sum()
    return len(count) >= 2 and 2 * len(count) <= len(of) and worth > 1.5


def _grouped(case: Case, named: dict[str, tuple[np.ndarray, bool]]) -> Iterator[_Grouping]:
    """Each kind of groups, numbers only where they differ; cycles where nothing else does."""
    adds = case.by_unit["adds"].to_numpy()
    chances = {name: f_test(adds, of) for name, (of, _) in named.items()}
    for name, (of, names) in named.items():
        differ = chances[name] < CHANCE / len(named)
        if differ or names:
            yield _as_units(case, name, of, chances[name], differ)
    cycles = [np.arange(len(adds)) % k for k in range(2, len(adds) // 4 + 1)]
    if cycles and min(chances.values(), default=1.0) > CHANCE:
        chance, k = min((f_test(adds, of), k) for k, of in enumerate(cycles))
        if chance < CHANCE / len(cycles):
            yield _as_units(case, "place in a cycle of rows", cycles[k], chance, True)


def _as_units(case: Case, name: str, of: np.ndarray, chance: float, differ: bool) -> _Grouping:
    """The claim's number with groups as its units."""
    means = np.bincount(of, case.by_unit["adds"]) / np.bincount(of)
    true_of_each = all(case.h.outcome(x, x) == "holds" for x in means)
    decides = len(means) >= FEWEST or (differ and not true_of_each)
    limits = _limits_by(case, {name: of})
    return _Grouping(name, str(len(means)), chance, limits, decides)


def _limits_by(case: Case, by: dict[str, np.ndarray]) -> Limits:
    """The claim's limits with other units, each a code for each of its own."""
    at = pd.Index(case.by_unit.index).get_indexer(case.whole.units[case.units[0]])
    units = {name: of[at] for name, of in by.items()}
    return limits_of(case, interval(replace(case.whole, units=units, bounds=None)))


def _crossed(case: Case, named: dict[str, tuple[np.ndarray, bool]]) -> Iterator[_Grouping]:
    """Two columns of which each pair of values is a unit: two kinds of crossed units."""
    for (a, (x, _)), (b, (y, _)) in itertools.combinations(named.items(), 2):
        if min(x.max(), y.max()) >= 2 and len({*zip(x, y, strict=True)}) == len(x):
            n = f"{x.max() + 1} × {y.max() + 1}"
            yield _Grouping(f"{a} × {b}", n, 0.0, _limits_by(case, {a: x, b: y}), True)


def _averaged(case: Case) -> Iterator[_Grouping]:
    """Columns that tell the averaged rows of a cell apart, such as runs: a second kind of unit."""
    rows, cell = case.levels, ["arm", *case.units, *case.dims]
    if len(case.units) > 1 or not rows.duplicated(cell).any():
        return
    for name in rows.columns.difference([*cell, *case.numbers, *case.fixed]):
        n = rows[name].nunique()
        if 2 <= n <= len(rows) / 4 and not rows.duplicated([*cell, name]).any():
            own = case.rows["arm"] + "/" + case.rows[name].astype(str)
            crossed = replace(case, units=(*case.units, name))
            i = interval(crossed.sample(case.rows.assign(**{name: own})))
            yield _Grouping(str(name), str(n), 0.0, limits_of(case, i), True)


def f_test(x: np.ndarray, of: np.ndarray) -> float:
    """The p-value of equal means of all groups: one-way analysis of variance."""
    count = np.bincount(of)
    means, (k, n) = np.bincount(of, x) / count, (len(count), len(x))
    between, within = (count * (means - x.mean()) ** 2).sum(), ((x - means[of]) ** 2).sum()
    if not within > 1e-20 * between or n <= k:
        return 0.0 if between > 0 and n > k else 1.0
    return float(special.fdtrc(k - 1, n - k, between / (k - 1) / (within / (n - k))))


# ---- copies --------------------------------------------------------------------------------------


def copies(case: Case, v: Verdict) -> Note | None:
    """The numbers of units, in all arms together, are nearly those of others.

    Formula: of independent points in d dimensions the median of k d log2(D_k+1 / D_k), D_k the
    distance to the k-th nearest, is about 1 for all k; each set of copies as one unit.
    Source: Levina and Bickel 2004; Ward 1963 (the sets).
    """
    if len(case.units) > 1 or case.dims:
        return None
    rows = case.rows[~case.rows.duplicated(["arm", *case.units])]
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
    at = pd.Index(wide.index.astype(str)).get_indexer(case.whole.units[case.units[0]])
    i = interval(replace(case.whole, units={"set": of[at]}, bounds=None))
    return open_by(case, "copies", limits_of(case, i), n=int(of.max()))


# ---- order ---------------------------------------------------------------------------------------


def order(case: Case, v: Verdict) -> Note | None:
    """Neighbours are alike, by the order of rows, by dates, or by evenly spaced places.

    Formula: n (1 - r) / (1 + r) units for a correlation r of neighbours.
    Source: Bartlett 1946; von Neumann 1941 (the test); Zwiers and von Storch 1995.
    """
    if len(case.units) > 1 or case.unpaired:
        return None
    orders, x = _orders(case), case.by_unit["adds"].to_numpy()
    n = len(x)
    for name, at in orders.items() if n >= 2 * FEWEST else ():
        off = x[np.argsort(at, kind="stable")] - x.mean()
        r = float((off[1:] * off[:-1]).sum() / max((off**2).sum(), 1e-300))
        if special.ndtr(-(r + 1 / n) * math.sqrt(n)) > CHANCE / 2 / len(orders):
            continue
        r = min((n * r + 1) / (n - 4), 0.99)
        worth = n * (1 - r) / (1 + r)
        i = interval(replace(case.whole, bounds=None, ends=None), case.h.folds)
        i = replace(i, variance=x.var(ddof=1) / worth, df=max(worth - 1, 1))
        data = {"column": name, "r": r, "n": n, "worth": worth}
        if note := open_by(case, "order", limits_of(case, i), **data):
            return note
    return None


def _orders(case: Case) -> dict[str, np.ndarray]:
    """The places of units in each order that is no sorting by what varies between them."""
    units = case.by_unit.drop(columns="adds")
    labels = pd.to_numeric(units.index.to_series(name=case.units[0]), errors="coerce")
    numbers = {str(x.name): as_numbers(x) for x in (*(x for _, x in units.items()), labels)}
    known = {name: x for name, x in numbers.items() if x is not None and x.is_unique}
    dated = {name for name in known if name in units and is_name(units[name])}
    orders = {name: x for name, x in known.items() if name in dated or is_even(x)}
    by = (x for name, x in known.items() if name not in orders)
    is_sorted = any(x.is_monotonic_increasing or x.is_monotonic_decreasing for x in by)
    rows = {} if is_sorted else {"row": np.arange(len(units))}
    return rows | {name: x.to_numpy() for name, x in orders.items()}


# ---- missing -------------------------------------------------------------------------------------


def missing(case: Case, v: Verdict) -> Note | None:
    """Units lack a number in an arm, which may be as low, or as high, as the others there.

    Formula: the widest interval with each arm's missing numbers at its 5th or 95th percentile.
    Source: Manski 1990; Horowitz and Manski 2000 (worst-case bounds).
    """
    numbers, cell = [*case.numbers], [*case.units, *case.dims]
    rows = case.levels.drop_duplicates(["arm", *cell]).set_index(["arm", *cell])[numbers]
    places = rows.index.droplevel("arm").unique()
    counts = rows.groupby(level="arm").size()
    if len(places) < counts.sum() and counts.min() >= len(places) / 2:  # arms of the same units
        frame = places.to_frame(index=False)
        full = pd.concat([frame.assign(arm=arm) for arm in case.compared])
        rows = rows.reindex(pd.MultiIndex.from_frame(full[["arm", *cell]]))
    gone = int(rows.isna().any(axis=1).sum())
    if not gone:
        return None
    spans, ends = rows.groupby(level="arm").quantile([0.05, 0.95]), list[Limits]()
    for chosen in itertools.product((0.05, 0.95), repeat=len(case.compared)):
        parts = zip(case.compared, chosen, strict=True)
        filled = [rows.xs(a, drop_level=False).fillna(spans.loc[a, q]) for a, q in parts]
        ends.append(limits_of(case, case.again(pd.concat(filled).reset_index())))
    limits = (min(low for low, _ in ends), max(high for _, high in ends))
    return open_by(case, "missing", limits, n=gone, of=len(rows))
