"""Other units of measurement: a column that nothing reads and that is, at each unit, the same
multiple of another arm's, as the loss of the same model is if one script wrote bits and another
nats: the column that is judged may be in two units as well."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from assay.core.answers import judged_again
from assay.core.intervals import FEWEST
from assay.core.results import Judged
from assay.core.table_columns import RUNS, words_in
from assay.core.table_question import Question
from assay.core.unlike_arms import ADDED, DOSES, EXACT, VARIED

FACTORS = (
    *(math.log(10) / math.log(2), 1 / math.log(2), math.log(10)),
    *(60.0, 100.0, 1e3, 1024.0, 3600.0, 1e6, 1e9),
)
"""What a number is multiplied by in another unit: another base of logarithms, percent, a thousand,
minutes and hours."""


def found(
    question: Question, judged: Judged, independent: bool, level: float
) -> Iterator[tuple[str, str]]:
    """What a claim holds unless it is the cause, if the outcome would be another with the arm's own
    numbers in the same unit, and a note."""
    rows, columns = question.rows, question.columns
    for name, arm, other, times in _multiples(question):
        own = rows["arm"] == arm
        scaled = {c: rows[c].where(~own, rows[c] / times) for c in columns}
        asked = replace(question, rows=rows.assign(**scaled))
        then, same = judged_again(asked, judged, independent, level)
        of_other = f"{times:.4g} times that of {other}"
        yield (
            "" if same else f"{name} of {arm} is in another unit, {of_other}",
            f"{name} of {arm} is {of_other} in each {question.axes[0]}, as numbers are that are in "
            "another unit, such as bits in place of nats (1.443 times as many): give both in the "
            f"same one; if {columns[0]} of {arm} is in the other unit as well, then in the same "
            f"one {then}",
        )
        return


def _multiples(question: Question) -> Iterator[tuple[str, str, str, float]]:
    """The columns that one arm has in another unit than another: both arms, the one with more
    first, and how many times as much it has."""
    (unit, *more), (main, *others), rows = question.axes, question.compared, question.read
    taken = (*RUNS, *question.taken)
    for name in map(str, rows.select_dtypes("number") if not more else ()):
        if name in taken or words_in(name) & (DOSES | ADDED):
            continue
        cells = rows.groupby([unit, "arm"])[name].mean().unstack()
        for other in others:
            x = cells[[main, other]].dropna()
            varies = x[other].std() > VARIED * abs(x[other].mean())
            if len(x) < FEWEST or not varies or 2 * x[other].nunique() <= len(x):
                continue
            ratio = x[main] / x[other]
            times = float(ratio.mean())
            if not np.isfinite(ratio).all() or times <= 0 or ratio.std() >= EXACT * times:
                continue
            most = max(times, 1 / times)
            if any(abs(most / f - 1) < EXACT for f in FACTORS):
                yield (name, *((main, other) if times > 1 else (other, main)), most)
