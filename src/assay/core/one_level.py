"""One level: a claim about the mean over a few levels of a column, such as three judges, that owes
its outcome to one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from assay.core import judging
from assay.core.dependence import where_in_words
from assay.core.digits import in_line
from assay.core.errors import ClaimError
from assay.core.intervals import Interval
from assay.core.results import Judged, with_note
from assay.core.table_question import Question, asked_again

MOST, FEW = 6, 3
"""Levels of a column up to which each is left out in turn, and up to which the number of each level
of a column that is fixed is given."""


def doubted(question: Question, judgement: Judged, independent: bool, level: float) -> Judged:
    """The verdict with the number at each level of a column that is fixed, if the claim is not
    equally true at each; and one that holds, with that reserve if it would clearly fail without one
    level of a column that is fixed or averaged over."""
    claim = judgement.claim

    def standing(there: Iterator[bool]) -> Interval | None:
        asked = replace(question, rows=question.rows[[*there]])
        with contextlib.suppress(ClaimError):
            return asked_again(claim, asked, level, independent)
        return None

    for name in _over(question):
        arms_of = question.read.groupby(name, sort=False)["arm"].nunique()
        in_all = arms_of.min() == len(question.compared)
        each = [str(x) for x in arms_of.index]
        if not in_all or not 2 <= len(each) <= MOST:
            continue
        of = question.rows[name].astype(str)
        alone = {x: standing(y == x for y in of) for x in each}
        numbers = {x: i.estimate for x, i in alone.items() if i}
        outcomes = {judging.outcome_of(claim, x, x) for x in numbers.values()}
        if len(numbers) < len(each) or len(outcomes) == 1:
            continue
        note = f"the claim is not true of each {name}: the number is "
        note += where_in_words(name, numbers)
        rest = {x: standing(y != x for y in of) for x in each if judgement.outcome == "holds"}
        fails = {
            x: i
            for x, i in rest.items()
            if i and judging.outcome_of(claim, i.low, i.high) == "fails"
        }
        if len(fails) == 1:
            ((one, i),) = fails.items()
            number = in_line(i.estimate, i.low, i.high)
            note += f"; {name} “{one}” alone determines the outcome: without it, the number is "
            judgement = with_note(judgement, note + number, f"{name} “{one}” alone is the cause")
        elif name in question.fixed and len(each) <= FEW:
            judgement = with_note(judgement, note)
    return judgement


def _over(question: Question) -> list[str]:
    """The columns over whose levels the claim is about a mean."""
    columns = question.parsed.columns
    means = (d for c in columns if c.how == "mean" and not c.ranges for d in c.over)
    return [x for x in dict.fromkeys((*question.fixed, *means)) if x not in question.axes]
