"""Drift: numbers that rise or fall with the time at which they were measured, in arms that were
measured one after another, so that the difference between arms may be that of the times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from assay.core.answers import judged_again
from assay.core.heavy import scipy
from assay.core.nouns import joined
from assay.core.results import Judged
from assay.core.rows import Names, is_text
from assay.core.table_columns import DATE, RUNS, SECONDS, TIMES
from assay.core.table_question import Question

BY_CHANCE = 1e-3
"""The p-value below which numbers follow the time, shared among all columns of times."""
FEWEST = 12
"""Times of an arm, at least."""
SORTED = 0.95
"""The rank correlation with the time from which rows were put in the order of their numbers."""
OTHER_ORDER = 0.5
"""The share of the spread of an arm's times that is left at the same unit where arms measure the
units in other orders: 0.7 of two random ones, and hardly any of the same one."""
ROUNDS = 50
"""Rounds in which the means of units and arms are taken out."""


def found(
    question: Question, judged: Judged, independent: bool, level: float, controls: Names
) -> Iterator[tuple[str, str]]:
    """What a claim holds unless it is the cause, if it does not hold without what the time
    explains, and a note. Arms that measure the same units in the same order cannot show it: there,
    numbers may follow the units.

    Formula: y = unit + arm + slope × time, by least squares"""
    (name, *more), arms = question.columns, (*question.compared, *controls)
    if more or independent:
        return
    rows = question.rows[question.rows["arm"].isin(arms)].dropna(subset=[name])
    times = {x: t for x, t in _times(question, rows) if not _in_order(rows, name, t)}
    for column, t in sorted(times.items(), key=lambda x: not is_text(rows[x[0]])):
        slope, p = _slope(rows, question, t, rows[name].to_numpy(float))
        if not p < BY_CHANCE / len(times):
            continue
        every = _as_numbers(question.rows[column])
        still = question.rows[name] - slope * (every - t.mean())
        asked = replace(question, rows=question.rows.assign(**{name: still}))
        then, same = judged_again(asked, judged, independent, level)
        if not same:
            yield (
                f"{column} is the cause, which {name} follows in each arm",
                f"{joined(question.compared)} were measured one after another, and {name} follows "
                f"{column} in each: without what {column} explains, {then}; measure the arms in "
                "turn",
            )
            return


def _times(question: Question, rows: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
    """The columns of times, or of what counts up with the rows, that do not overlap between the
    arms that are compared, as numbers."""
    taken = (*RUNS, *question.taken)
    for name in (str(x) for x in rows if x not in taken):
        x = rows[name]
        if x.isna().any() or (is_text(x) and not x.astype(str).str.match(DATE).all()):
            continue
        t = pd.Series(_as_numbers(x), index=rows.index)
        by_arm = t.groupby(rows["arm"])
        rises = by_arm.apply(lambda of: of.is_monotonic_increasing).all()
        is_time = is_text(x) or name.casefold() in TIMES or x.between(*SECONDS).all()
        low, high = (of[[*question.compared]].to_numpy() for of in (by_arm.min(), by_arm.max()))
        order = np.argsort(low)
        apart = (high[order][:-1] < low[order][1:]).all()
        if (rises or is_time) and apart and by_arm.nunique().min() >= FEWEST:
            yield name, t.to_numpy()


def _as_numbers(x: pd.Series) -> np.ndarray:
    """Times as numbers; dates in seconds."""
    if not is_text(x):
        return x.to_numpy(float)
    dates = pd.to_datetime(x.astype(str), errors="coerce", format="ISO8601", utc=True)
    return dates.to_numpy("datetime64[ns]").astype(float) / 1e9


def _in_order(rows: pd.DataFrame, name: str, t: np.ndarray) -> bool:
    """Whether the rows of an arm were put in the order of their numbers."""
    both = rows.assign(t=t).groupby("arm")[["t", name]]
    ranks = both.rank().groupby(rows["arm"])
    return any(abs(of["t"].corr(of[name])) > SORTED for _, of in ranks)


def _slope(
    rows: pd.DataFrame, question: Question, t: np.ndarray, y: np.ndarray
) -> tuple[float, float]:
    """By how much a number rises with the time at the same unit in the same arm, and the p-value of
    none; of units that all arms measure at the same place in their order, NaN."""
    labels = [*question.labels]  # at each of which the effect of an arm may be another
    of_unit = rows.groupby([*question.axes, *labels]).ngroup()
    of_arm = rows.groupby(["arm", *labels]).ngroup()
    x, z = pd.Series(t - t.mean()), pd.Series(y - y.mean())
    whole = float((x - x.groupby(of_arm.to_numpy()).transform("mean")).std())
    for _ in range(ROUNDS):
        for by in (of_unit.to_numpy(), of_arm.to_numpy()):
            x, z = (v - v.groupby(by).transform("mean") for v in (x, z))
    free = len(x) - of_unit.nunique() - of_arm.nunique()
    if free < FEWEST or not float(x.std()) > OTHER_ORDER * whole:
        return math.nan, math.nan
    off, of = x.to_numpy(float), z.to_numpy(float)
    square = float(off @ off)
    slope = float(off @ of) / square
    error = math.sqrt(float(np.square(of - slope * off).sum()) / free / square)
    return slope, float(2 * scipy.special.stdtr(free, -abs(slope) / max(error, 1e-300)))
