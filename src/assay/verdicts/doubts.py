"""What else could make a claim about a table hold: a list of general, published diagnostics.

Each asks a claim that holds for its number again, with other units, fewer rows, or a column held
fixed. None knows what a column means; a user says so with `fixed` and `result`. Those of units
that speak for fewer than they are stand in `dependence`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from assay.errors import AssayError
from assay.notes import Note
from assay.verdicts.columns import FEW, as_numbers, codes, is_name, plain, restates, steps
from assay.verdicts.dependence import copies, groups, limits_of, missing, open_by, order
from assay.verdicts.rule import FEWEST, LEVEL, Sample, Verdict, interval

if TYPE_CHECKING:
    from assay.verdicts.table import Case

CHANCE = 0.01
"""The p-value below which arms are unlike in a column, shared among all that are looked at."""
SOME = 0.1
"""The least share of units that is more than an exception."""
KINDS = 6
"""A column of at most so many values tells kinds of units apart; of others, the halves are two."""


def moved(case: Case, v: Verdict, code: str, to: float, **data: Any) -> Note | None:
    """A note with the interval about another estimate, if the claim does not hold by it."""
    return open_by(case, code, (v.low + to - v.estimate, v.high + to - v.estimate), **data)


# ---- chosen for its number -----------------------------------------------------------------------


def choice(case: Case, v: Verdict) -> Note | None:
    """The arm, or the level that the claim names, is the best of several that are hardly worse.

    Formula: the interval at the level 1 - α/k, of k candidates.
    Source: Dunn 1961 (Bonferroni); Benjamini and Yekutieli 2005 (selected parameters).
    """
    h = case.h
    if np.isfinite(h.low) == np.isfinite(h.high):
        return None
    sign, ours = (1 if np.isfinite(h.low) else -1), interval(case.whole, h.folds)
    for what, samples in _rivals(case):
        numbers = sign * np.array([interval(s).estimate for s in samples])
        low, high = ours.limits(min(h.level, 1 - (1 - LEVEL) / (1 + len(numbers))))
        near = numbers[numbers > min(sign * low, sign * high)]
        if len(near) < 2 or (near > sign * v.estimate).any():
            continue
        if note := open_by(case, "choice", (low, high), what=what, n=1 + len(numbers)):
            return note
    return None


def _rivals(case: Case) -> Iterator[tuple[str, list[Sample]]]:
    """What decides the claim of each arm that it does not name, and at each other level."""
    h = case.h
    named = {*case.compared, *h.found, *h.missed, *(a for c in h.controls for a in c.arms)}
    yield "arms", [s for a in case.arms if a not in named for s in _sample(case, case.rows, a)]
    for dim, level in sorted({pair for c in case.condition.columns for pair in c.levels}, key=str):
        if len({at for c in case.condition.columns for d, at in c.levels if d == dim}) == 1:
            others = [x for x in case.rows[dim].dropna().unique() if str(x) != str(level)]
            moved = (case.rows[case.rows[dim] == x].assign(**{dim: level}) for x in others)
            yield f"levels of {dim}", [s for rows in moved for s in _sample(case, rows)]


def _sample(case: Case, rows: pd.DataFrame, arm: str = "") -> list[Sample]:
    """What decides the claim by other rows or another arm, if anything does."""
    try:
        return [case.sample(rows, arm)]
    except AssayError:
        return []


# ---- a column held fixed -------------------------------------------------------------------------


def imbalance(case: Case, v: Verdict) -> Note | None:
    """A column, or two, of which the arms have other shares, or that both sides of a correlation
    follow. Of arms with the same units only names count: a number that an arm changes is mostly
    another result.

    Formula: least squares of the number on the arm and the column; the correlation of residuals.
    Source: Greenland 1989 (change in estimate); Yule 1897 (partial correlation).
    """
    if len(case.units) > 1 or case.dims:
        return None
    if len(case.numbers) == 2 and case.whole.ends == (-1, 1):
        return _followed(case, v)
    if len(case.numbers) == 1 and len(case.compared) == 2:
        return _unlike(case, v)
    return None


def _unlike(case: Case, v: Verdict) -> Note | None:
    """Arms of two shares of a column, or of a pair of columns."""
    rows = case.levels.drop_duplicates(["arm", case.units[0]]).dropna(subset=[*case.numbers])
    y, arm = rows[case.numbers[0]].to_numpy(float), (rows["arm"] == case.main).to_numpy(int)
    own = case.has_own_units(case.levels)
    cut = {c: steps(rows[c]) for c in case.others(rows) if own or _is_shared(case, rows, c)}
    sets = [*((c,) for c in cut), *itertools.combinations(cut, 2)]
    for names in sets:
        stacked = np.stack([cut[c] for c in names])
        of = np.unique(stacked, axis=1, return_inverse=True)[1].ravel()
        if not 0 < of.max() <= len(of) / 4 or _chi_squared(of, arm) > CHANCE / len(sets):
            continue
        x = np.column_stack([arm, np.eye(of.max() + 1)[of]])
        fixed = float(np.linalg.lstsq(x, y, rcond=None)[0][0])
        by = case.sign * (y[arm == 1].mean() - y[arm == 0].mean() - fixed)
        column = " and ".join(names)
        if note := moved(case, v, "imbalance", v.estimate - by, column=column):
            return note
    return None


def _is_shared(case: Case, rows: pd.DataFrame, name: str) -> bool:
    """Whether a column has a few names, some of them in all arms, and does not fix the number."""
    x = rows[name]
    values = [set(plain(of)) for _, of in x.groupby(rows["arm"])]
    varies = bool(set.intersection(*values)) and max(map(len, values)) > 1
    few = x.nunique() <= FEW and is_name(x) and x.dtype != bool
    return few and varies and not restates(x, rows[case.numbers[0]])


def _chi_squared(of: np.ndarray, arm: np.ndarray) -> float:
    """The p-value of equal shares in both arms."""
    table = np.array([np.bincount(of[arm == a], minlength=of.max() + 1) for a in (0, 1)])
    return float(stats.chi2_contingency(table).pvalue)


def _followed(case: Case, v: Verdict) -> Note | None:
    """A column that both sides of a correlation follow."""
    rows = case.rows[case.rows["arm"] == case.main].dropna(subset=[*case.numbers])
    rank = stats.rankdata if "spearman" in case.condition.text else np.asarray
    sides = [rank(rows[c].to_numpy(float)) for c in case.numbers]
    for name in case.others(rows) if len(rows) >= 4 * FEWEST else ():
        of = codes(rows[name]) if 4 * rows[name].nunique() <= len(rows) else steps(rows[name])
        if not 0 < of.max() < len(rows) / 4:
            continue
        rest = [x - (np.bincount(of, x) / np.bincount(of))[of] for x in sides]
        r = float(np.corrcoef(*rest)[0, 1]) if min(x.std() for x in rest) > 0 else 0.0
        if note := moved(case, v, "imbalance", r, column=name):
            return note
    return None


# ---- measured one after another ------------------------------------------------------------------


def drift(case: Case, v: Verdict) -> Note | None:
    """Arms were measured one after another, and the number follows the time within each: a date,
    or a counter of all rows.

    Formula: least squares of the number on the arm and the time.
    Source: Box, Hunter and Hunter 1978.
    """
    rows = case.levels.dropna(subset=[*case.numbers])
    if len(case.numbers) > 1 or len(case.compared) != 2 or case.whole.ends:
        return None
    y, first = rows[case.numbers[0]].to_numpy(float), (rows["arm"] == case.main).to_numpy()
    times = _times(case, rows)
    for name, at in times.items():
        apart = at[first].mean() - at[~first].mean()
        at, off = (x - np.where(first, x[first].mean(), x[~first].mean()) for x in (at, y))
        if at.std() == 0 or abs(apart) < at.std():
            continue
        line = stats.linregress(at, off)
        to = v.estimate - line.slope * apart * case.sign
        if line.pvalue < CHANCE / len(times) and (note := moved(case, v, "drift", to, column=name)):
            return note
    return None


def _times(case: Case, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns that are dates, or count all rows."""
    numbers = {name: as_numbers(rows[name]) for name in case.others(rows)}
    known = {name: x for name, x in numbers.items() if x is not None}
    dated = {c: is_name(rows[c]) or (x.is_unique and not (x % 1).any()) for c, x in known.items()}
    return {c: x.to_numpy() for c, x in known.items() if dated[c]}


# ---- what no arm should change -------------------------------------------------------------------


def invariants(case: Case, v: Verdict) -> Note | None:
    """A column is the same at each unit in all other arms, and not in the one that is judged: no
    control shares it. It doubts where it varies within that arm; one value there is a setting,
    which may be what the arm is.

    Source: Lipsitch, Tchetgen Tchetgen and Cohen 2010 (negative controls).
    """
    near = dict.fromkeys((*case.compared[1:], *(a for c in case.h.controls for a in c.arms)))
    others = [*near] if len(near) > 1 else [a for a in case.arms if a != case.main]
    rows = case.at_levels(case.rows[case.rows["arm"].isin([case.main, *others])])
    if len(others) < 2 or case.has_own_units(rows):
        return None
    cells = rows.groupby([*case.units, *case.dims, "arm"], dropna=False)
    notes = list[Note]()
    for name in case.others(rows):
        wide = cells[name].first().unstack("arm")
        main, first, *rest = (wide[a] for a in (case.main, *others))
        unlike = ~_same(main, first)
        if unlike.mean() < SOME or not all(_same(first, x).all() for x in rest):
            continue
        pair = {"value": main[unlike].iloc[0], "usual": first[unlike].iloc[0]}
        code = "setting" if len(set(plain(main))) == 1 else "invariants"
        notes.append(Note(code, {"column": name, "arm": case.main, **pair}))
    return min(notes, key=lambda note: not note.doubt, default=None)


def _same(a: pd.Series, b: pd.Series) -> np.ndarray:
    """Where two columns have one value, numbers but for rounding."""
    if is_name(a) or is_name(b):
        return plain(a) == plain(b)
    return np.isclose(a.astype(float), b.astype(float), 1e-9, 0.0, equal_nan=True)


# ---- the same numbers twice ----------------------------------------------------------------------


def twins(case: Case, v: Verdict) -> Note | None:
    """Two arms share numbers at the same units, or one arm's are one multiple of another's, or of
    it alone are two columns equal.

    Source: Simonsohn 2013 (identical numbers in raw data).
    """
    found = (*_shared(case), *_multiples(case), *_columns(case))
    return next((Note("twins", data) for data in found), None)


def _wide(case: Case) -> dict[str, pd.DataFrame]:
    """Each number of the claim, a column for each arm."""
    cells = case.at_levels(case.rows).groupby([*case.units, *case.dims, "arm"], dropna=False)
    return {name: cells[name].mean().unstack("arm") for name in case.numbers}


def _varies(x: pd.Series) -> bool:
    return bool(x.nunique() >= len(x) / 2)


def _shared(case: Case) -> Iterator[dict[str, Any]]:
    """A control that is like what it is compared with, or an arm like one without a part in it."""
    controls = [a for c in case.h.controls for a in c.arms]
    bystanders = [a for a in case.arms if a not in {*case.compared, *controls}]
    pairs = [*itertools.product(controls, case.compared[1:])]
    wide = _wide(case).values()
    for a, b in (*pairs, *itertools.product(case.compared, bystanders)):
        if all(a in w and b in w and _varies(w[a]) for w in wide):
            same = [np.isclose(w[a], w[b], 1e-5, 1e-5 * w[b].std()) for w in wide]
            if (share := float(np.logical_and.reduce(same).mean())) >= SOME:
                yield {"one": a, "other": b, "times": 1.0, "share": share}


def _multiples(case: Case) -> Iterator[dict[str, Any]]:
    """A number of the arm that is judged that is one multiple of another arm's."""
    for (name, w), other in itertools.product(_wide(case).items(), case.compared[1:]):
        times = (w[case.main] / w[other]).replace([np.inf, -np.inf], np.nan).dropna()
        mean = float(times.mean())
        near = len(times) >= FEWEST and times.std() < 0.005 * abs(mean)
        if near and abs(mean - 1) > 0.02 and _varies(w[case.main]):
            one, other = f"{case.main}.{name}", f"{other}.{name}"
            yield {"one": one, "other": other, "times": mean, "share": 1.0}


def _columns(case: Case) -> Iterator[dict[str, Any]]:
    """A number that another column repeats in the arm that is judged, and in no other."""
    rows = case.rows.select_dtypes("number")
    others = rows.columns.difference([*case.units, *case.dims, *case.numbers])
    for a, b in itertools.product(case.numbers, others):
        same = (rows[a] == rows[b]).groupby(case.rows["arm"]).all()
        if len(same) > 1 and [*same[same].index] == [case.main]:
            one, other = f"{case.main}.{a}", f"{case.main}.{b}"
            yield {"one": one, "other": other, "times": 1.0, "share": 1.0}


# ---- true of some only ---------------------------------------------------------------------------


def mixture(case: Case, v: Verdict) -> Note | None:
    """The claim is clearly false of a kind of units, of a level that it averages over, or of all
    other levels.

    Formula: the interval of each part at the level 1 - α/k, of k parts.
    Source: Gail and Simon 1985 (qualitative interactions); Dunn 1961 (Bonferroni).
    """
    parts = [*_kinds(case), *_levels(case)]
    level = 1 - (1 - case.h.level) / max(1, len(parts))
    for column, sign, value, there in parts:
        try:
            i = case.again(case.rows[there])
        except AssayError:
            continue
        low, high = (i.estimate, i.estimate) if i.ties else i.limits(level)
        if case.h.outcome(low, high) == "fails":
            part = {"column": column, "sign": sign, "value": value}
            return Note("mixture", {**part, "low": low, "high": high})
    return None


Part = tuple[str, str, Any, pd.Series]
"""A column, = or ≠, a value of it, and which rows these are."""


def _kinds(case: Case) -> Iterator[Part]:
    """The kinds of units that each column tells apart, and the halves of a number."""
    if len(case.units) > 1:
        return
    label = case.rows[case.units[0]].astype(str)
    for name, x in case.by_unit.drop(columns="adds").items():
        if x.nunique() > KINDS and (at := as_numbers(x)) is not None:
            x = pd.Series(np.where(at <= at.median(), "low", "high"), x.index)
        count = x.astype(str).value_counts()
        of = label.map(x.astype(str)) if 2 <= len(count) <= KINDS else None
        for kind, n in count.items():
            if of is not None and n >= max(FEWEST, SOME * len(x)):
                yield str(name), "=", kind, of == kind


def _levels(case: Case) -> Iterator[Part]:
    """Each level that the claim takes something over, and all others."""
    for dim in case.condition.over:
        levels = case.rows[dim].dropna().unique()
        for x in levels if 2 <= len(levels) <= KINDS else ():
            there = case.rows[dim] == x
            yield from ((dim, "=", x, there), (dim, "≠", x, ~there))


# ---- a value of one arm --------------------------------------------------------------------------


def heaps(case: Case, v: Verdict) -> Note | None:
    """Many rows of one arm have one value, which hardly any of another has, such as the mark of a
    failure or a limit: the number without these.

    Source: Heitjan and Rubin 1991 (coarse data, heaping).
    """
    rows, cell = case.levels, case.rows.set_index([*case.units]).index
    for name in (*case.numbers, *case.others(rows)):
        x = pd.Series(plain(rows[name]), rows.index)
        shares = x.groupby(rows["arm"]).value_counts(normalize=True).unstack(fill_value=0.0)
        for arm in case.compared if len(case.compared) > 1 and shares.shape[1] > 2 else ():
            value = shares.loc[arm].idxmax()
            share, elsewhere = shares.loc[arm, value], shares[value].drop(arm).max()
            if not (0.25 <= share < 1 and elsewhere <= 0.05):
                continue
            gone = rows[(x == value) & (rows["arm"] == arm)].set_index([*case.units]).index
            try:
                limits = limits_of(case, case.again(case.rows[~cell.isin(gone)]))
            except AssayError:
                continue
            data = {"column": name, "value": value, "share": float(share), "arm": arm}
            if note := open_by(case, "heaps", limits, **data):
                return note
    return None


# ---- all of them ---------------------------------------------------------------------------------

Doubt = Callable[["Case", Verdict], Note | None]
DOUBTS: tuple[Doubt, ...] = (
    *(groups, copies, order, missing, choice),
    *(imbalance, drift, invariants, twins, mixture, heaps),
)
"""The first that doubts is the reason of an open verdict."""


def doubts(case: Case, verdict: Verdict) -> tuple[Note, ...]:
    """What speaks against a verdict that holds, a note at most of each diagnostic."""
    if verdict.outcome != "holds" or min(verdict.n.values()) < FEWEST:
        return ()
    return tuple(note for look in DOUBTS if (note := look(case, verdict)))


def decisive(notes: Sequence[Note]) -> Note | None:
    """The note that leaves a claim open, if one does."""
    return next((note for note in notes if note.doubt), None)
