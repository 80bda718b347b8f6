"""Common column: a column that both sides of a correlation follow, such as the mean activation of a
neuron, which may be all that they have in common."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from assay.core import digits, judging
from assay.core.across import OfAll, corr
from assay.core.heavy import scipy, xr
from assay.core.intervals import Interval, interval
from assay.core.results import Judged, with_note
from assay.core.table_question import Question

BY_CHANCE = 0.01
"""How often some column of a table with no relation to either side is said to be followed."""
FEWEST, LEVELS = 12, 3
"""Units from which on a column is looked at, and values that it and both sides have at least."""


Numbers = Float[np.ndarray, " unit"]


def doubted(question: Question, judgement: Judged) -> Judged:
    """The verdict with a note on the column that both sides of a correlation follow most, if the
    claim would have another outcome given it; one that holds, and would fail, holds unless this
    column is the cause."""
    columns, statistic = question.parsed.columns, question.parsed.statistic
    known = judgement.outcome in ("holds", "fails") and len(question.axes) == 1
    plain = len(columns) == 2 and not any(c.named or c.over for c in columns)
    if not (isinstance(statistic, OfAll) and statistic.ends[0] < 0 and known and plain):
        return judgement
    given = [(name, _given(statistic, *numbers)) for name, *numbers in _followed(question)]
    if not given:
        return judgement
    name, i = min(given, key=lambda x: abs(x[1].estimate))
    outcome = judging.outcome_of(judgement.claim, i.low, i.high)
    if outcome == judgement.outcome:
        return judgement
    number = digits.in_line(i.estimate, i.low, i.high)
    both = f"both {columns[0].name} and {columns[1].name} follow {name}"
    words = f"{both}: given it, the correlation is {number}; leave the column out if it measures"
    doubt = judgement.outcome == "holds" and outcome == "fails"
    cause = f"{name} is the cause, which both columns follow" if doubt else ""
    return with_note(judgement, f"{words} the same as one of them", cause)


def _followed(question: Question) -> Iterator[tuple[str, Numbers, Numbers, Numbers]]:
    """The numeric columns that both sides follow by more than chance, with both sides and this
    column, as ranks if ranks are correlated."""
    (unit,), sides = question.axes, [c.name for c in question.parsed.columns]
    if len(question.compared) > 1:
        return
    names = [str(c) for c in question.read.select_dtypes("number") if c not in question.taken]
    means = question.read.groupby(unit)[[*sides, *names]].mean()
    ranks = "spearman" in question.parsed.text
    for name in names:
        of = means[[*sides, name]].dropna()
        if len(of) < FEWEST or min(of.nunique()) < LEVELS:
            continue
        x, y, z = (of.rank() if ranks else of).to_numpy(float).T
        tail = BY_CHANCE / 2 / len(names)
        t = float(scipy.special.stdtrit(len(of) - 2, 1 - tail))
        least = t / np.sqrt(len(of) - 2 + t**2)
        if min(abs(np.corrcoef(z, side)[0, 1]) for side in (x, y)) > least:
            yield name, x, y, z


def _given(statistic: OfAll, x: Numbers, y: Numbers, z: Numbers) -> Interval:
    """The partial correlation of two numbers given a third."""
    rest = [a - np.polyval(np.polyfit(z, a, 1), z) for a in (x, y)]
    first, second = (xr.DataArray(a, dims="unit") for a in rest)
    return interval({"value": corr(first, second).values}, statistic, draws=1)
