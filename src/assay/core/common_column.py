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
from assay.core.table_columns import words_in
from assay.core.table_question import Question
from assay.core.unlike_sides import made_of

BY_CHANCE = 0.01
"""How often some column of a table with no relation to either side is said to be followed."""
CHANGES = frozenset(
    (
        *("gain", "gains", "delta", "diff", "difference", "change", "improvement", "drop", "fall"),
        *("increase", "decrease", "reduction", "rise", "lift", "boost", "effect", "lost"),
    )
)
"""Words in the names of numbers that are the difference of two others, as each of three numbers
is the sum or the difference of the other two."""
FEWEST, LEVELS = 12, 3
"""Units from which on a column is looked at, and values that it and both sides have at least."""


Numbers = Float[np.ndarray, " unit"]


def doubted(question: Question, judgement: Judged) -> Judged:
    """The verdict with a note on the column that both sides of a correlation follow most, if the
    claim would have another outcome given it; one that holds, and would fail, holds unless this
    column is the cause."""
    columns, statistic = question.parsed.columns, question.parsed.statistic
    known = judgement.outcome in ("holds", "fails", "undecided") and len(question.axes) == 1
    plain = len(columns) == 2 and not any(c.named or c.over for c in columns)
    if not (isinstance(statistic, OfAll) and statistic.ends[0] < 0 and known and plain):
        return judgement
    judgement = _with_common_error(question, judgement, statistic)
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


def _with_common_error(question: Question, judged: Judged, statistic: OfAll) -> Judged:
    """The verdict with that reserve, where one side is the difference of the other and a third
    column, so that an error of what both have makes a correlation, if the claim does not hold of
    the difference and the mean of the two.

    Source: Oldham, A note on the analysis of repeated measurements of the same subjects (1962)
    """
    (unit,), sides = question.axes, [c.name for c in question.parsed.columns]
    if judged.outcome != "holds" or question.compared[1:] or "corr" not in question.parsed.text:
        return judged
    for name, a, sign, b in made_of(question, sides):
        (other,) = (x for x in sides if x != name)
        if sign != "−" or other not in (a, b) or not CHANGES & words_in(name):
            continue
        means = question.read.groupby(unit)[[name, a, b]].mean().dropna()
        first, second = (
            xr.DataArray(x, dims="unit") for x in (means[name], (means[a] + means[b]) / 2)
        )
        i = interval({"value": corr(first, second).values}, statistic, draws=1)
        if judging.outcome_of(judged.claim, i.low, i.high) != "holds":
            number = digits.in_line(i.estimate, i.low, i.high)
            note = (
                f"{name} is {a} − {b} in each row, so an error of {other} is in both and makes a "
                f"correlation: of {name} with the mean of {a} and {b}, it is {number}; correlate "
                f"{name} with another measurement of {other}"
            )
            return with_note(judged, note, f"an error of {other}, which is in {name}, is the cause")
    return judged


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
