"""Unlike arms: what the rows show of arms that were not measured alike: a number that is copied to
several units of an arm, and a setting that was chosen anew for each unit of one arm only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import structs

from assay.core.intervals import FEWEST
from assay.core.nouns import counted, plural
from assay.core.results import Judged
from assay.core.rows import is_text
from assay.core.table_columns import CONDITIONS, FEW_LEVELS
from assay.core.table_question import Question

SETTINGS = CONDITIONS | {
    *("strength", "alpha", "beta", "coefficient", "coef", "coeff", "scale", "multiplier"),
    *("temperature", "threshold", "k", "rank", "lr"),
}
"""Words in the names of columns that are settings of a method."""
MOST_OPTIONS = 100
"""Options of a task up to which a number may be that of chance, 1 of these."""
EACH = 3
"""So many units on average have the same number, at least, where it may be a copy."""
DIGITS = 5e-4
"""By how much a number that is rounded may lie from that of chance."""


def doubted(question: Question, judgement: Judged) -> Judged:
    """A verdict that holds, with that reserve and a note on each way in which arms are unlike."""
    if judgement.outcome != "holds" or not question.compared[1:]:
        return judgement
    for unless, note in (*_copied(question), *_chosen(question)):
        judgement = structs.replace(
            judgement, notes=(*judgement.notes, note), unless=judgement.unless or unless
        )
    return judgement


def _copied(question: Question) -> Iterator[tuple[str, str]]:
    """An arm that has one number in all of its units, or each of a few numbers in several, where
    another arm has a number of its own in each unit, and that no chance explains."""
    (unit, *more), rows = question.axes, question.read
    for name in question.columns if not more else ():
        cells = rows.dropna(subset=[name]).groupby(["arm", unit])[name].mean().groupby("arm")
        counts = {str(arm): x.value_counts() for arm, x in cells if arm in question.compared}
        if not any(len(x) > 1 and x.max() == 1 for x in counts.values()):
            continue
        for arm, x in counts.items():
            known = any(map(_is_of_chance, x.index[x > 1]))
            if x.sum() < FEWEST or x.sum() < EACH * len(x) or known:
                continue
            few = f"one {name}, {x.index[0]:g}," if len(x) == 1 else f"{len(x)} different numbers"
            yield (
                f"{name} of {arm} was copied from one {unit} to others",
                f"{arm} has {few} in {counted(int(x.sum()), unit)}: if {name} was not measured in "
                f"each {unit}, the interval lacks the spread that it has; give {arm} the {name} "
                f"that each {unit} has",
            )


def _is_of_chance(x: float) -> bool:
    """Whether a number may be known without measuring: a whole one, or 1/k or 1 − 1/k."""
    shares = (abs(x) % 1, 1 - abs(x) % 1)
    chances = (1 / k for k in range(2, MOST_OPTIONS + 1))
    return x % 1 == 0 or any(abs(s - c) < DIGITS * min(1, 10 * c) for c in chances for s in shares)


def _chosen(question: Question) -> Iterator[tuple[str, str]]:
    """A setting that differs from unit to unit in one arm, and in no other."""
    (unit, *_), rows = question.axes, question.read
    taken = ("arm", *question.axes, *question.labels, *question.fixed, *question.columns)
    for name in (c for c in rows.columns if c not in taken and not is_text(rows[c])):
        words = {w for w in re.split(r"[\W_\d]+", name.casefold()) if w}
        values = rows.groupby("arm")[name].nunique()
        several = [arm for arm in question.compared if values[arm] > 1]
        if not words & SETTINGS or len(several) != 1 or not values.max() <= FEW_LEVELS:
            continue
        (arm,), others = several, [a for a in question.compared if a not in several]
        each = rows[rows["arm"] == arm].drop_duplicates([unit, name])
        if each[unit].duplicated().any() or len(each) < 2 * values[arm]:
            continue  # each unit has several, or nearly all differ
        yield (
            f"{name} was chosen for each {unit} by its result",
            f"{name} differs from {unit} to {unit} in {arm}, {counted(int(values[arm]), 'value')}, "
            f"and not in {' and '.join(others)}: if the best one was chosen for each {unit}, "
            f"{arm} is better even where no {name} has an effect; choose it on other "
            f"{plural(unit, 2)}",
        )
