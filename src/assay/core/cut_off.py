"""Cut off: an amount, such as the tokens of an answer, that ends in many rows of one arm at exactly
its largest value, beyond which another arm goes on: answers may have been cut off at that limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from assay.core.answers import judged_again
from assay.core.dependence import MOST_LEVELS
from assay.core.nouns import joined
from assay.core.results import Judged
from assay.core.table_columns import RUNS
from assay.core.table_question import Question

MANY, FEWEST = 0.05, 5
"""The share of an arm's rows with its largest value, and these rows, from which they are at a
limit."""
SELDOM = 5
"""So many times as often as any other value does one that is a limit occur, at least."""


def found(
    question: Question, judged: Judged, independent: bool, level: float
) -> Iterator[tuple[str, str]]:
    """What a claim holds unless it is the cause, if it does not hold without the units that were
    cut off, and a note."""
    rows = question.rows
    for name, arm, limit in _limits(question):
        at_limit = rows[name] == limit
        cut = rows[(rows["arm"] == arm) & at_limit]
        left = rows[~((rows["arm"] == arm) & at_limit)]
        if not independent:  # the same cells of all arms
            cell = [*question.axes, *question.labels]
            left = rows[~rows.set_index(cell).index.isin(cut.set_index(cell).index)]
        then, same = judged_again(replace(question, rows=left), judged, independent, level)
        share = 100 * len(cut) / (rows["arm"] == arm).sum()
        beyond = [a for a in question.compared if (question.of([a])[name] > limit).any()]
        if not same:
            yield (
                f"{name} of {arm} was cut off at {limit:g}",
                f"{name} is exactly {limit:g}, its largest value, in {share:.0f}% of {arm}'s rows, "
                f"and goes beyond it in {joined(beyond)}: give both the same limit; without what "
                f"was cut off, {then}",
            )


def _limits(question: Question) -> Iterator[tuple[str, str, float]]:
    """The amounts that nothing reads and that end in one arm at a limit: the arm, and the limit."""
    read = question.read
    taken = (*RUNS, *question.taken)
    for name in (x for x in map(str, read.select_dtypes("number")) if x not in taken):
        for arm in question.compared:
            own = question.of([arm])[name].dropna().to_numpy(float)
            levels, counts = np.unique(own, return_counts=True)
            if len(levels) <= MOST_LEVELS or (read[name] <= levels[-1]).all():
                continue
            *others, at_end = counts
            if at_end >= max(FEWEST, MANY * len(own)) and at_end >= SELDOM * max(others):
                yield name, arm, float(levels[-1])
