"""Twin columns: two columns that are equal in every row of the arm under judgement and in no row of
any other arm, as where a test accuracy is the training accuracy, or the test split the training
split."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from assay.core.balance import IDENTIFIER
from assay.core.intervals import FEWEST
from assay.core.nouns import counted, joined
from assay.core.rows import is_text
from assay.core.table_columns import RUNS
from assay.core.table_question import Question

BY_CHANCE = 1e-3
"""The chance below which columns of a few values are not equal by chance."""
FEW = 2
"""So many values say too little, as of columns of 0 and 1."""


def found(question: Question) -> Iterator[tuple[str, str]]:
    """What a claim holds unless it is the cause, and a note: for the arm that it is about, or for
    each that it may be about."""
    for arm in question.compared if question.is_open else (question.main,):
        pairs = [*_pairs(question, arm)]
        if pairs:
            are = [f"{x} {'is ' * (not k)}equal to {y}" for k, (x, y) in enumerate(pairs)]
            rows = counted(len(question.of([arm])), "row")
            yield (
                f"{pairs[0][0]} of {arm} is a copy of {pairs[0][1]}",
                f"{joined(are)} in all {rows} of {arm}, and in no row of any other arm: were both "
                f"measured in {arm}, and on what they are in the others? If not, measure "
                f"{pairs[0][0]} of {arm} again",
            )


def _pairs(question: Question, arm: str) -> Iterator[tuple[str, str]]:
    """The columns that are equal in one arm alone, the one that the claim reads first."""
    rows, read = question.rows, question.columns
    own = (rows["arm"] == arm).to_numpy()
    if own.sum() < FEWEST or own.all():
        return
    alike = dict[tuple[bool, bytes], list[str]]()
    for name in (*read, *(x for x in map(str, rows) if x not in read)):
        if name not in ("arm", *RUNS, *question.axes, *question.labels, *question.fixed):
            values = rows[name][own]
            texts = is_text(values)
            codes = pd.factorize(values)[0] if texts else values.to_numpy(float)
            key = "\0".join(map(str, values)).encode() if texts else codes.tobytes()
            if values.notna().all() and not _may_be_equal(codes) and _says(question, arm, name):
                alike.setdefault((texts, key), []).append(name)
    for x, y in (pair for names in alike.values() for pair in combinations(names, 2)):
        there = rows[[x, y]].notna().all(axis=1).to_numpy() & ~own
        equal = rows[x].to_numpy()[there] == rows[y].to_numpy()[there]
        if there.any() and not equal.any():
            yield (y, x) if x not in read and _is_of_unit(question, x) else (x, y)


def _may_be_equal(values: np.ndarray) -> bool:
    """Whether two columns with these values may be equal in all rows by chance."""
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return len(shares) <= FEW or np.square(shares).sum() ** len(values) > BY_CHANCE


def _says(question: Question, arm: str, name: str) -> bool:
    """Whether a column that is equal to another in one arm says something: a hash or a path, and a
    number that is not that of the unit, as a baseline is, which the unchanged arm has by nature. Of
    those that the claim does not read, whole numbers may well be equal, as the step at which a run
    was best and its last one."""
    x = question.of([arm])[name]
    if is_text(x):
        return all(IDENTIFIER.fullmatch(str(value)) for value in x)
    fine = bool((x % 1 != 0).any()) and 2 * x.nunique() > len(x)
    return (name in question.columns or fine) and not _is_of_unit(question, name)


def _is_of_unit(question: Question, name: str) -> bool:
    """Whether all arms have the same value at the same unit."""
    each = question.rows.groupby([*question.axes, *question.labels])
    return bool((each["arm"].nunique() > 1).any() and (each[name].nunique() <= 1).all())
