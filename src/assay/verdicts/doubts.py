"""What else could make a claim about a table hold: a list of general, published diagnostics.

Each asks a claim that holds for its number again, with other units, fewer rows, or a column held
fixed. None knows what a column means; a user says so with `fixed` and `result`. Those of units
that speak for fewer than they are stand in `dependence`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from assay.notes import Note
from assay.verdicts.case import Case
from assay.verdicts.columns import FEW, as_numbers, is_name, plain, restates, steps
from assay.verdicts.dependence import copies, doubtful, f_test, groups, missing, open_by, order
from assay.verdicts.rule import FEWEST, LEVEL, Interval, Verdict, interval

CHANCE = 0.01
"""The p-value below which arms differ in a column, shared among all that are looked at."""
SOME = 0.1
"""The least share of units that is more than an exception."""
MOST = 0.5
"""The least share of units at which two arms are one."""
HEAP = 0.25
"""The least share of an arm's rows that is a heap."""
KINDS = 6
"""A column of at most so many values tells kinds of units apart; of others, the halves are two."""

Covariate = tuple[str, float, np.ndarray]
"""A column, the p-value of its not going with what is compared, and what is held fixed."""
Part = tuple[str, str, str, pd.Series]
"""A column, = or ≠, a value of it, and which rows these are."""


def choice(case: Case) -> Note | None:
    """The arm, or the level that the claim names, is the best of several that are hardly worse.

    Formula: the interval at the level 1 - α/k, of k candidates.
    Source: Dunn 1961 (Bonferroni); Benjamini and Yekutieli 2005 (selected parameters).
    """
    h, ours = case.h, interval(case.whole, case.h.folds)
    if np.isfinite(h.low) == np.isfinite(h.high):
        return None
    sign = 1 if np.isfinite(h.low) else -1
    for what, rivals in _rivals(case):
        numbers = sign * np.array([i.estimate for i in rivals])
        low, high = ours.limits(max(h.level, 1 - (1 - LEVEL) / (1 + len(numbers))))
        near = numbers[numbers > min(sign * low, sign * high)]
        if len(near) < 2 or (near > sign * ours.estimate).any():
            continue
        if note := open_by(case, "choice", (low, high), what=what, n=1 + len(numbers)):
            return note
    return None


def _rivals(case: Case) -> Iterator[tuple[str, list[Interval]]]:
    """The claim's number of each arm that it does not name, and at each other level."""
    rows, others = case.rows, (arm for arm in case.arms if arm not in case.named)
    yield "arms", [i for arm in others if (i := case.again(rows, arm))]
    pairs = {pair for c in case.condition.columns for pair in c.levels}
    for dim, level in sorted(pairs, key=str):
        if len([d for d, _ in pairs if d == dim]) == 1:
            levels = [x for x in rows[dim].dropna().unique() if str(x) != str(level)]
            there = (rows[rows[dim] == x].assign(**{dim: level}) for x in levels)
            yield f"levels of {dim}", [i for of in there if (i := case.again(of))]


def imbalance(case: Case) -> Note | None:
    """A column, or two, of which the arms have other shares, or that both sides of a correlation
    follow; or a time that the number follows, of arms that were measured one after another. Of arms
    with the same units only names count: a number that an arm changes is mostly another result.

    Formula: the claim's number, less what the column explains by least squares next to the arm.
    Source: Greenland 1989 (change in estimate); Yule 1897 (partial correlation); Box, Hunter and
    Hunter 1978 (drift).
    """
    shape = len(case.compared), len(case.numbers)
    related = shape == (1, 2) and case.whole.ends == (-1, 1)
    if len(case.units) > 1 or case.dims or not (related or shape == (2, 1)):
        return None
    rows = case.levels.drop_duplicates(["arm", case.units[0]]).dropna(subset=[*case.numbers])
    numbers, arm = rows[[*case.numbers]].astype(float), (rows["arm"] == case.h.of).to_numpy(float)
    ways = [*_shares(case, rows, numbers.to_numpy().T if related else [arm])]
    ways += [] if related else _times(case, rows)
    for name, chance, x in ways:
        if chance < CHANCE / len(ways):
            x = np.column_stack([arm, x])
            explained = x[:, 1:] @ np.linalg.lstsq(x, numbers, rcond=None)[0][1:]
            held = rows.assign(**(numbers - explained + explained.mean(0)))
            if note := open_by(case, "imbalance", case.again(held), column=name):
                return note
    return None


def _shares(case: Case, rows: pd.DataFrame, sides: Iterable[np.ndarray]) -> Iterator[Covariate]:
    """The columns of units, and pairs of them: those that fix no number, and with units in several
    arms only a few names, some of them in each arm."""
    own, cut = case.has_own_units(case.levels), dict[str, np.ndarray]()
    for name in case.others(rows):
        x = rows[name]
        arms = [set(plain(of)) for _, of in x.groupby(rows["arm"])]
        named = is_name(x) and x.dtype != bool and x.nunique() <= FEW
        shared = named and bool(set.intersection(*arms)) and max(map(len, arms)) > 1
        if (own or shared) and not any(restates(x, rows[number]) for number in case.numbers):
            cut[name] = steps(x)
    for names in [*((name,) for name in cut), *itertools.combinations(cut, 2)]:
        of = np.unique([cut[name] for name in names], axis=1, return_inverse=True)[1].ravel()
        if 0 < of.max() <= len(of) / 4:
            chance = max(f_test(x, of) for x in sides)
            yield " and ".join(names), chance, np.eye(of.max() + 1)[of]


def _times(case: Case, rows: pd.DataFrame) -> Iterator[Covariate]:
    """The columns that are dates, or count all rows, if the arms are apart in them."""
    for name in case.others(rows):
        x = as_numbers(rows[name])
        if x is not None and (is_name(rows[name]) or (x.is_unique and not (x % 1).any())):
            both = pd.DataFrame({"at": x, "y": rows[case.numbers[0]]})
            means = both.groupby(rows["arm"]).transform("mean")
            off, apart = both - means, means["at"].max() - means["at"].min()
            if apart >= off["at"].std(ddof=0) > 0:
                chance = stats.linregress(off["at"], off["y"]).pvalue
                yield name, chance, np.column_stack([np.ones(len(x)), x])


def invariants(case: Case) -> Note | None:
    """A column is the same at each unit in all other arms, and not in the one that is judged: no
    control shares it. It doubts where it varies within that arm; one value there is a setting,
    which may be what the arm is.

    Source: Lipsitch, Tchetgen Tchetgen and Cohen 2010 (negative controls).
    """
    others = case.named[1:] if len(case.named) > 2 else [a for a in case.arms if a != case.h.of]
    rows = case.at_levels(case.rows[case.rows["arm"].isin([case.h.of, *others])])
    if len(others) < 2 or case.has_own_units(rows):
        return None
    cells = rows.groupby([*case.units, *case.dims, "arm"], dropna=False)
    notes = list[Note]()
    for name in case.others(rows):
        wide = cells[name].first().unstack("arm")
        wide = wide.map(lambda x: f"{x:.9g}" if isinstance(x, float) else str(x))
        main, usual, *rest = (wide[arm] for arm in (case.h.of, *others))
        unlike = main != usual
        if unlike.mean() >= SOME and all((x == usual).all() for x in rest):
            pair = {"value": main[unlike].iloc[0], "usual": usual[unlike].iloc[0]}
            code = "invariants" if main.nunique() > 1 else "setting"
            notes.append(Note(code, {"column": name, "arm": case.h.of, **pair}))
    return doubtful(notes)


def twins(case: Case) -> Note | None:
    """Two arms have the same numbers at most units: a control those of what it is compared with,
    or an arm of the claim those of one that has no part in it.

    Source: Simonsohn 2013 (identical numbers in raw data).
    """
    cells = case.at_levels(case.rows).groupby([*case.units, *case.dims, "arm"], dropna=False)
    wide = [cells[name].mean().unstack("arm") for name in case.numbers]
    controls = [arm for control in case.h.controls for arm in control.arms]
    others = [arm for arm in case.arms if arm not in case.named]
    pairs = [*itertools.product(controls, case.compared[1:])]
    for a, b in (*pairs, *itertools.product(case.compared, others)):
        if all(a in w and b in w and w[a].nunique() >= len(w) / 2 for w in wide):
            same = [np.isclose(w[a], w[b], 0, 1e-5 * w[b].std()) for w in wide]
            if (share := float(np.logical_and.reduce(same).mean())) >= MOST:
                return Note("twins", {"one": a, "other": b, "share": share})
    return None


def mixture(case: Case) -> Note | None:
    """The claim is clearly false of a kind of units, of a level that it takes something over, or
    of all other levels.

    Formula: the interval of each part at the level 1 - α/k, of k parts.
    Source: Gail and Simon 1985 (qualitative interactions); Dunn 1961 (Bonferroni).
    """
    parts = [*_kinds(case), *_levels(case)]
    for column, sign, value, there in parts:
        if i := case.again(case.rows[there]):
            low, high = i.limits(1 - (1 - case.h.level) / len(parts))
            if case.h.outcome(low, high) == "fails":
                part = {"column": column, "sign": sign, "value": value}
                return Note("mixture", {**part, "low": float(low), "high": float(high)})
    return None


def _kinds(case: Case) -> Iterator[Part]:
    """The kinds of units that each column tells apart, and the halves of a number."""
    units = case.by_unit.drop(columns="adds") if len(case.units) == 1 else pd.DataFrame()
    for name, x in units.items():
        if x.nunique() > KINDS and (at := as_numbers(x)) is not None:
            x = pd.Series(np.where(at <= at.median(), "low", "high"), x.index)
        if 2 <= x.nunique() <= KINDS:
            of = case.rows[case.units[0]].astype(str).map(x.astype(str))
            for kind, n in x.astype(str).value_counts().items():
                if n >= max(FEWEST, SOME * len(x)):
                    yield str(name), "=", str(kind), of == kind


def _levels(case: Case) -> Iterator[Part]:
    """Each level that the claim takes something over, and all others."""
    for dim in case.condition.over:
        levels = case.rows[dim].dropna().unique()
        for x in levels if 2 <= len(levels) <= KINDS else ():
            there = case.rows[dim] == x
            yield from ((dim, "=", str(x), there), (dim, "≠", str(x), ~there))


def heaps(case: Case) -> Note | None:
    """Many rows of one arm have one value, which hardly any of another has, such as the mark of a
    failure or a limit: the number without these units.

    Source: Heitjan and Rubin 1991 (coarse data, heaping).
    """
    rows, unit_of = case.levels, case.rows.set_index([*case.units]).index
    for name in (*case.numbers, *case.others(rows)) if len(case.compared) > 1 else ():
        x = pd.Series(plain(rows[name]), rows.index)
        shares = x.groupby(rows["arm"]).value_counts(normalize=True).unstack().fillna(0.0)
        at: Any = shares.loc[[*case.compared]].stack()
        for arm, value in at.index[at >= HEAP] if shares.shape[1] > 2 else ():
            share, elsewhere = float(shares[value][arm]), shares[value].drop(arm).max()
            if share < 1 and elsewhere <= SOME / 2:
                gone = rows[(x == value) & (rows["arm"] == arm)].set_index([*case.units]).index
                data = {"column": name, "value": value[:30], "share": share, "arm": arm}
                i = case.again(case.rows[~unit_of.isin(gone)])
                if note := open_by(case, "heaps", i, **data):
                    return note
    return None


DOUBTS = groups, copies, order, missing, choice, imbalance, invariants, twins, mixture, heaps
"""Each finds one note at most; the first that doubts is the reason of an open verdict."""


def doubts(case: Case, verdict: Verdict) -> tuple[Note, ...]:
    """What speaks against a verdict that holds."""
    if verdict.outcome != "holds" or min(verdict.n.values()) < FEWEST:
        return ()
    return tuple(note for look in DOUBTS if (note := look(case)))
