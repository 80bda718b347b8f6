"""Unlike arms: what the rows show of arms that were not measured alike: a number that is copied to
several units of an arm, a setting that was chosen anew for each unit of one arm only, a control
that was weaker, an arm that spent more, and numbers in another unit of measurement."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import partial
from itertools import product

import numpy as np
from msgspec import structs

from assay.core.intervals import FEWEST
from assay.core.nouns import counted, joined, plural
from assay.core.results import Judged
from assay.core.rows import Names, is_text
from assay.core.table_columns import CONDITIONS, FEW_LEVELS
from assay.core.table_question import Question

SETTINGS = CONDITIONS | frozenset(
    (
        *("strength", "alpha", "beta", "coefficient", "coef", "coeff", "scale", "multiplier"),
        *("temperature", "threshold", "k", "rank", "lr", "pos"),
    )
)
"""Words in the names of columns that are settings of a method."""
STRENGTHS = frozenset(
    ("strength", "alpha", "coefficient", "coef", "coeff", "scale", "multiplier", "norm")
)
SPENT = frozenset(("l0", "shots", "params", "parameters", "flops", "steps", "epochs"))
READ = frozenset(("tokens", "length"))
"""Words in the names of columns that say how strong an intervention is, what an arm may spend to be
better, and how much it reads, which is a setting where all rows of an arm have the same."""
INPUTS = frozenset(("prompt", "question", "sentence", "problem", "passage", "input", "instruction"))
"""Words in the names of columns of texts that a model is given."""
NUMBER = r"(\d+(?:\.\d+)?)"
"""A number within a text."""
FEW_UNLIKE, SHOWN = 0.1, 40
"""The share of units up to which arms may have other texts; letters of a text that are shown."""
MORE = 1.1
"""How many times as much an arm spends, or as strong it is, from which it is said."""
EXACT, OTHER, VARIED = 2e-3, 0.01, 0.05
"""The relative spread up to which a ratio of numbers is the same in all units, how far it then is
from 1, and the relative spread that the numbers themselves have."""
MOST_OPTIONS = 100
"""Options of a task up to which a number may be that of chance, 1 of these."""
EACH = 3
"""So many units on average have the same number, at least, where it may be a copy."""
DIGITS = 5e-4
"""By how much a number that is rounded may lie from that of chance."""


def doubted(question: Question, judgement: Judged, controls: Names) -> Judged:
    """A verdict that holds, with that reserve and a note on each way in which arms are unlike."""
    if judgement.outcome != "holds" or not question.compared[1:]:
        return judgement
    found = (
        _copied,
        _kept,
        _chosen,
        _scaled,
        partial(_weaker, controls=controls),
        _spent,
        _other_inputs,
    )
    for unless, note in (x for of in found for x in of(question)):
        if any(note.split(" in ")[0] in said for said in judgement.notes):
            continue  # which another search has found
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


def _kept(question: Question) -> Iterator[tuple[str, str]]:
    """An arm that is right in all of its units, where another is not."""
    (unit, *more), rows = question.axes, question.read
    main, *others = question.compared
    for name in question.columns if not more else ():
        x = rows.dropna(subset=[name]).groupby("arm")[name]
        low, high = x.min(), x.max()
        for arm in (a for a in others if low[a] == high[a] == 1 and low[main] < high[main] <= 1):
            yield (
                "",
                f"{arm} has {name} 1 in all of its {plural(unit, 2)}: if they were kept because "
                f"{arm} is right in them, measure it again in a run that chose none of them; it "
                "may be right less often there",
            )


def _is_of_chance(x: float) -> bool:
    """Whether a number may be known without measuring: a whole one, or 1/k or 1 − 1/k."""
    shares = (abs(x) % 1, 1 - abs(x) % 1)
    chances = (1 / k for k in range(2, MOST_OPTIONS + 1))
    return x % 1 == 0 or any(abs(s - c) < DIGITS * min(1, 10 * c) for c in chances for s in shares)


def _chosen(question: Question) -> Iterator[tuple[str, str]]:
    """A setting that differs from unit to unit in one arm, and in no other."""
    cell, rows = [*question.axes], question.read
    unit = cell[0]
    for name in _named(question, SETTINGS):
        values = rows.groupby("arm")[name].nunique()
        several = [arm for arm in question.compared if values[arm] > 1]
        if len(several) != 1 or not values.max() <= FEW_LEVELS:
            continue
        (arm,), others = several, [a for a in question.compared if a not in several]
        each = rows[rows["arm"] == arm].drop_duplicates([*cell, name])
        if each.duplicated(cell).any() or len(each) < 2 * values[arm]:
            continue  # each unit has several, or nearly all differ
        yield (
            f"{name} was chosen for each {unit} by its result",
            f"{name} differs from {unit} to {unit} in {arm}, {counted(int(values[arm]), 'value')}, "
            f"and not in {' and '.join(others)}: if the best one was chosen for each {unit}, "
            f"{arm} is better even where no {name} has an effect; choose it on other "
            f"{plural(unit, 2)}",
        )


def _scaled(question: Question) -> Iterator[tuple[str, str]]:
    """An arm whose number is the same multiple of another's in each unit."""
    main, *others = question.compared
    (unit, *more), rows = question.axes, question.read
    for name in question.columns if not more else ():
        cells = rows.groupby([unit, "arm"])[name].mean().unstack()
        for other in others:
            x = cells[[main, other]].dropna()
            ratio = x[main] / x[other]
            if len(x) < FEWEST or not np.isfinite(ratio).all() or ratio.mean() <= 0:
                continue
            is_same = ratio.std() < EXACT * ratio.mean() and abs(ratio.mean() - 1) > OTHER
            if is_same and x[other].std() > VARIED * abs(x[other].mean()):
                times = f"{ratio.mean():.4g} times that of {other}"
                yield (
                    f"{name} of {main} is in another unit, {times}",
                    f"{name} of {main} is {times} in each {unit}, as numbers are that are in "
                    "another unit, such as bits in place of nats (1.443 times as many): give both "
                    "in the same one",
                )


def _weaker(question: Question, controls: Names) -> Iterator[tuple[str, str]]:
    """A control whose intervention is weaker than that of the arm under judgement: the product of
    what columns say of it, such as a coefficient and the norm of a vector."""
    rows, main = question.rows, question.main
    strengths = {}
    for name in _named(question, STRENGTHS, texts=True):
        written = rows[name].astype(str).str.extract(NUMBER)[0].astype(float)  # as in x8
        strengths[name] = written.groupby(rows["arm"]).mean().abs()
    for control in controls:
        both = {k: (x[control], x[main]) for k, x in strengths.items() if x.get(control, 0) > 0}
        own, judged = (math.prod(x) for x in zip(*both.values(), strict=True)) if both else (1, 1)
        if MORE * own < judged:
            name = joined([*both])
            than = f"{name} {own:.3g}, and {main} {name} {judged:.3g}"
            if both.keys() - {name}:
                than = f"a product of {name} of {own:.3g}, and {main} of {judged:.3g}"
            yield (
                f"the {name} of {control} is too low",
                f"control {control} has {than}: an intervention that is as strong may satisfy the "
                f"claim as well; make {control} as strong",
            )


def _other_inputs(question: Question) -> Iterator[tuple[str, str]]:
    """Texts that were given to the model, of which arms have different ones at the same units."""
    rows, taken = question.read, ("arm", *question.axes, *question.labels, *question.fixed)
    names = (c for c in rows.columns if c not in taken and INPUTS & _words(c))
    for unit, name in product(question.axes, names):
        by_arm = rows.dropna(subset=[name]).groupby([unit, "arm"])[name]
        if by_arm.nunique().max() > 1:
            continue
        each = by_arm.first().unstack()
        each = each.reindex(columns=[*question.compared]).dropna()
        unlike = each.ne(each[question.main], axis=0).any(axis=1)
        if is_text(rows[name]) and unlike.sum() > FEW_UNLIKE * len(each):
            texts = [f"“{str(x)[:SHOWN]}” in {arm}" for arm, x in each[unlike].iloc[0].items()]
            yield (
                f"the texts in {name} are the cause",
                f"{name} differs between arms in {unlike.sum()} of {counted(len(each), unit)}, as "
                f"in {' and '.join(texts)}: give the arms the same texts, or each its own "
                f"{plural(unit, 2)}",
            )


def _spent(question: Question) -> Iterator[tuple[str, str]]:
    """An amount, such as L0, of which the arms that are compared have unequal ones."""
    main, *others = question.compared
    means = question.read.groupby("arm")
    read = (x for x in _named(question, READ) if means[x].nunique()[[main, *others]].min() == 1)
    for name in (*_named(question, SPENT), *read):
        x = means[name].mean()[[main, *others]]
        if "l0" in _words(name) and x[main] < x[others].min():
            continue  # it spends less, and is better all the same
        if x.min() > 0 and max(x[main] / x[others].min(), x[others].max() / x[main]) > MORE:
            each = " and ".join(f"{x[arm]:.3g} in {arm}" for arm in (main, *others))
            yield (
                f"{name} is the cause, which is {each} on average",
                f"{name} is {each} on average: compare arms of equal {name}, or leave the column "
                "out if it is a result of the arm",
            )


def _named(question: Question, words: frozenset[str], *, texts: bool = False) -> Iterator[str]:
    """The columns of numbers, or also of texts, that nothing reads and in whose names one of these
    words is."""
    taken = ("arm", *question.axes, *question.labels, *question.fixed, *question.columns)
    for name in (c for c in question.rows.columns if c not in taken):
        if words & _words(name) and (texts or not is_text(question.rows[name])):
            yield name


def _words(name: str) -> set[str]:
    return {w for w in re.split(r"[\W_]+", name.casefold()) if w}
