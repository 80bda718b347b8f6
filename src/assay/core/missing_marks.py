"""Missing marks: a number of a table, such as -1 or 999, that may mark a missing one, or be filled
in for one, and what the claim would be without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from assay.core import digits, judging
from assay.core.errors import ClaimError
from assay.core.results import Judged, with_note
from assay.core.table_question import Question, asked_again
from assay.core.unlike_arms import is_of_chance

FEWEST_MARKS, FEWEST_OTHERS = 3, 5
"""Rows that have a mark, at least; different numbers that others have, at least."""
APART = 2.0
"""So many times as far as others are from each other is a negative number from them, at least,
where no other is negative."""
FILLED, MOST_LACKING = 0.15, 0.25
"""The share of an arm's rows from which numbers that recur in it may be filled in; the share that
may be missing if a claim is to be decided."""
SELDOM = 5
"""So many times as often as any other number, and as in any other arm, does one that is filled in
occur, at least."""
MEAN = 0.01
"""So many standard deviations from the mean of the others is one that was filled in for it."""
Found = Iterator[tuple[str, np.ndarray, str, str, bool]]
"""A column, its cells that may be missing, a note on them, what may then be the cause of the
verdict, and whether it may be so whatever the number without them."""


def doubted(
    question: Question, judgement: Judged, independent: bool, level: float, *, filled: bool
) -> Judged:
    """The verdict with a note on each number that may mark a missing one, and with that reserve if
    the outcome would be another without these rows; so with numbers that may have been `filled`
    in for one, also where they are many."""
    for name, cells, note, cause, are_many in (
        *_marks(question),
        *(_filled(question) if filled else ()),
    ):
        rows = question.rows.assign(**{name: question.rows[name].mask(cells)})
        asked = replace(question, rows=rows)
        words, same = _without(asked, judgement, independent, level)
        in_doubt = judgement.outcome in ("holds", "fails") and (are_many or not same)
        note += f", leave these cells empty; without these rows, {words}"
        judgement = with_note(judgement, note, cause * in_doubt)
    return judgement


def _without(
    asked: Question, judgement: Judged, independent: bool, level: float
) -> tuple[str, bool]:
    """The number without the rows that are marked, in words, and whether the outcome would be the
    same."""
    try:
        i = asked_again(judgement.claim, asked, level, independent)
    except ClaimError:
        return "there are too few rows for a number", True
    outcome = judging.outcome_of(judgement.claim, i.low, i.high)
    then = "be undecided" if outcome == "undecided" else outcome.removesuffix("s")
    number = digits.in_line(i.estimate, i.low, i.high)
    return f"the number is {number}, and the claim would {then}", outcome == judgement.outcome


def _marks(question: Question) -> Found:
    """Numbers that may mark a missing one."""
    read = question.read
    for name in question.columns:
        x = read[name].dropna().to_numpy(float)
        for value in (x.min(initial=np.inf), x.max(initial=-np.inf)):
            others = x[x != value]
            if not FEWEST_MARKS <= (x == value).sum() <= len(x) / 2 or not _may_mark(value, others):
                continue
            counts = read["arm"][read[name] == value].value_counts()
            sizes = read["arm"].value_counts()
            arms = [arm for arm in question.compared if arm in counts]
            where = [f"{counts[a]} of {sizes[a]} rows of {a}" for a in arms]
            end = f"least {others.min():g}" if value < others.min() else f"most {others.max():g}"
            note = (
                f"{name} is {value:g} in {' and '.join(where)}, and at {end} in all others: if "
                "that marks a missing number"
            )
            is_mark = question.rows[name].to_numpy(float) == value
            yield name, is_mark, note, f"{value:g} marks a missing {name}", False


def _may_mark(value: float, others: np.ndarray) -> bool:
    """Whether a number that lies on one side of all others is one that marks missing ones, and is
    far from them: the only negative one, 0, or one of nines, such as 999."""
    levels = np.unique(others)
    if value % 1 or len(levels) < FEWEST_OTHERS:
        return False
    gap = np.abs(levels - value).min()
    if value < 0 <= levels[0] and gap >= APART * np.diff(levels).max():
        return True
    return bool(re.fullmatch(r"-?(0|99+)", f"{value:.0f}")) and gap > np.ptp(levels)


def _filled(question: Question) -> Found:
    """Numbers of one arm that may be filled in: one that is not whole and recurs in it, such as the
    mean of the others, or those of the row before. None of these is in other arms, and few others
    recur."""

    def found(cells: np.ndarray, how: str) -> tuple[str, np.ndarray, str, str, bool]:
        count, size = int(cells.sum()), len(own)
        note = (
            f"{name} is {how} in {count} of {size} rows of {arm}, and in no other arm: if missing "
            "numbers were filled in"
        )
        cause = f"missing numbers in {name} of {arm} were filled in"
        return name, cells, note, cause, count > MOST_LACKING * size

    arms = question.rows["arm"].to_numpy()
    for name, arm in product(question.columns, question.compared):
        is_own, every = arms == arm, question.rows[name].to_numpy(float)
        own, others = every[is_own], every[~is_own]
        levels, counts = np.unique(own[np.isfinite(own)], return_counts=True)
        least = FILLED * len(own)
        if len(levels) < FEWEST_OTHERS:
            continue
        value, (second, most) = levels[counts.argmax()], np.sort(counts)[-2:]
        recurs = most > max(least, SELDOM * second) and not is_of_chance(value)
        if recurs and not (others == value).any():
            off = np.nanmean(own[own != value]) - value
            mean = ", the mean of all others," if abs(off) < MEAN * np.nanstd(own) else ""
            yield found(is_own & (every == value), f"{value:.4g}{mean}")
        if _is_of_unit(question, arm, name):
            continue
        again = _as_before(own)
        elsewhere = [_as_before(every[arms == x]).mean() for x in question.known if x != arm]
        chances = np.unique(own[~again & np.isfinite(own)], return_counts=True)[1] / len(own)
        usual = max([np.square(chances).sum(), *elsewhere])
        if again.sum() > least and again.mean() > SELDOM * usual and (np.diff(own) < 0).any():
            cells = np.zeros(len(arms), bool)
            cells[is_own] = again
            yield found(cells, "that of the row before")


def _is_of_unit(question: Question, arm: str, name: str) -> bool:
    """Whether an arm has one number in all rows of each unit, and several rows, as a baseline that
    does not depend on the layer, given for each."""
    each = question.of([arm]).groupby([*question.axes])[name]
    return bool(each.size().max() > 1 and each.nunique(dropna=False).max() == 1)


def _as_before(x: np.ndarray) -> np.ndarray:
    """Which numbers are those of the row before."""
    return np.append(False, x[1:] == x[:-1])
