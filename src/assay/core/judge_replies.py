"""Judge replies: what a table shows of how a judge's replies became numbers: pairs that were shown
in one order only, and replies without a rating that all count as one number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from assay.core import answers, judging, shares
from assay.core.intervals import FEWEST
from assay.core.results import Judged, with_note
from assay.core.rows import Names, is_text
from assay.core.stats import mean
from assay.core.table_columns import RUNS, words_in
from assay.core.table_question import Question

if TYPE_CHECKING:
    import pandas as pd

WINS = frozenset(("win", "wins", "won", "winner", "prefer", "preferred", "preference"))
"""Words in the names of numbers that say which of two a judge preferred."""
EXCEPT, FEWEST_RATINGS = 0.03, 3
"""The share of replies with numbers in which another than the one that counts is written, at most;
so many different ratings at least are no coincidence."""
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w%])")
"""A number in a text, as in [[7]] or 7/10."""


def doubted(
    question: Question, judgement: Judged, controls: Names, independent: bool, level: float
) -> Judged:
    """A verdict that holds, with that reserve and a note on what the judge's replies show."""
    if judgement.outcome != "holds" or question.columns[1:]:
        return judgement
    found = _in_one_order(question, judgement, controls)
    if question.compared[1:]:
        found = _unrated(question, judgement, independent, level)
    for unless, note in found:
        judgement = with_note(judgement, note, unless)
    return judgement


def _in_one_order(question: Question, judged: Judged, controls: Names) -> Iterator[tuple[str, str]]:
    """A win rate of pairs of which the same side was shown first in all, unless a control has less
    in the same order."""
    (name,), rows, arm = question.columns, question.rows, question.main
    if not WINS & words_in(name) or judged.claim.statistic is not mean:
        return
    for column in (c for c in map(str, rows) if "first" in words_in(c) and c not in question.taken):
        values = question.read[column].dropna().unique()
        if len(values) != 1 or rows[column].nunique() > 2:
            continue
        same = rows[rows[column] == values[0]].dropna(subset=[name]).groupby("arm")[name]
        rates = {c: x for c, x in same.mean().items() if c in controls and same.size()[c] >= FEWEST}
        if any(judging.outcome_of(judged.claim, x, x) != "holds" for x in rates.values()):
            continue
        also = "".join(f"; {c} has {name} {x:.2f} in this order" for c, x in rates.items())
        yield (
            f"{column} is the cause, which is {values[0]} in all rows of {arm}",
            f"{column} is {values[0]} in all rows of {arm}, and a judge may prefer what it reads "
            f"first, whichever it is{also}: show each pair in both orders",
        )


def _unrated(
    question: Question, judged: Judged, independent: bool, level: float
) -> Iterator[tuple[str, str]]:
    """Replies without a number that all count as the same end of the scale, in a column of texts in
    which nearly all others name the number that counts, if arms have different shares of them and
    the claim does not hold without them."""
    (name,), read = question.columns, question.read
    x = read[name].to_numpy(float)
    for column in (c for c in map(str, read) if c not in (*RUNS, *question.taken)):
        if not is_text(read[column]):
            continue
        named = _numbers_in(read[column])
        has = np.array([len(k) > 0 for k in named])
        right = np.array([y in k for y, k in zip(x, named, strict=True)])
        if (~has).sum() < FEWEST or right.sum() < (1 - EXCEPT) * has.sum():
            continue
        rest, ends = np.unique(x[~has]), (np.nanmin(x), np.nanmax(x))
        if len(rest) != 1 or rest[0] not in ends or len(np.unique(x[has])) < FEWEST_RATINGS:
            continue
        values = {column: read[column].isna() | ~has}
        if not shares.Shares(read, question.axes, question.held, values).differ([(column,)]):
            continue
        keep = np.array([len(k) > 0 for k in _numbers_in(question.rows[column])])
        left = answers.without(question, keep, independent)
        number, same = answers.judged_again(left, judged, independent, level)
        if not same:
            there = answers.where_there(question, ~has)
            yield (
                f"the replies in {column} without a number, which all count as {rest[0]:g}, are "
                "the cause",
                f"{column} has no number in {there}, and all of these count as {rest[0]:g}: "
                f"without them, {number}",
            )


def _numbers_in(texts: pd.Series) -> list[set[float]]:
    """The numbers that are written in each text."""
    return [{float(k) for k in NUMBER.findall(str(t))} for t in texts.fillna("")]
