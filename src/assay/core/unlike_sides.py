"""Unlike sides: a claim that compares arms at other levels of a column, by other measures, or by
gains over unequal baselines, as its text and the rows show."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from assay.core import digits, judging
from assay.core.columns import Column, are_at
from assay.core.digits import told_apart
from assay.core.errors import ClaimError
from assay.core.expression import parse
from assay.core.intervals import Interval
from assay.core.nouns import counted, joined
from assay.core.results import Judged, with_note
from assay.core.stats import mean
from assay.core.table_columns import words_in
from assay.core.table_question import Question, asked_again

if TYPE_CHECKING:
    import pandas as pd

NAMED = 6
"""Levels up to which each is named."""
EXACTLY, SURELY = 0.01, 3.291
"""The share of its standard deviation up to which a column may be off from what it is made of, as
by rounding; from how many standard errors on the arms surely differ."""
MADE = {"−": np.subtract, "/": np.divide}
"""How a column may be made of two others."""
BASELINE = frozenset(
    (
        *("base", "baseline", "before", "pre", "prior", "original", "orig", "initial", "init"),
        *("clean", "unchanged", "unsteered", "unpatched", "unmodified", "untouched", "without"),
    )
)
"""Words in the name of a number that should be that of the same model in all arms, and the names of
an arm in which nothing was changed."""
COSTS = frozenset(
    (
        *("time", "times", "seconds", "secs", "sec", "s", "ms", "minutes", "hours", "latency"),
        *("duration", "wall", "gpu", "cost", "costs", "price", "usd", "dollars", "flops", "params"),
        *("parameters", "memory", "energy", "joules"),
    )
)
"""Words in the name of a denominator that says what an arm costs, per which a rate is given."""
COMMON = 0.5
"""The share of the levels of an arm that the others have, too, if arms are of the same ones."""


def doubted(question: Question, judgement: Judged, independent: bool, level: float) -> Judged:
    """The verdict with a note if it compares arms at other levels or by other measures, and with
    that reserve if the outcome over the levels that all of them have would be another."""
    if judgement.outcome not in ("holds", "fails") or not question.compared[1:]:
        return judgement

    def standing(asked: Question) -> Interval | None:
        with contextlib.suppress(ClaimError):
            return asked_again(judgement.claim, asked, level, independent)
        return None

    for dim, levels in _other_levels(question):
        common = set.intersection(*levels.values())
        i = standing(replace(question, rows=question.rows[question.rows[dim].isin(common)]))
        each = joined([f"{arm} has {_named(dim, x)}" for arm, x in levels.items()])
        then = f"over the {len(common)} that all have, {_shown(i)}" if i else "give all the same"
        same = i and judging.outcome_of(judgement.claim, i.low, i.high) == judgement.outcome
        unless = "" if same else f"other levels of {dim} are the cause"
        judgement = with_note(judgement, f"{each}: {then}", unless)
    for note, asked in _other_measures(question):
        if i := standing(asked):
            judgement = with_note(judgement, note + _shown(i))
    return judgement


def with_equal_parts(
    question: Question, judgement: Judged, independent: bool, level: float
) -> Judged:
    """The verdict with a note if its number is a difference or a ratio of columns, and the outcome
    with the same second part in all arms would be another; and with that reserve, before any other,
    if this is a baseline by its name, or a denominator that does not say what an arm costs."""
    decided = judgement.outcome in ("holds", "fails") and question.compared[1:]
    for part, sign, note, asked in _own_parts(question) if decided and not independent else ():
        try:
            i = asked_again(judgement.claim, asked, level)
        except ClaimError:
            continue
        if judging.outcome_of(judgement.claim, i.low, i.high) == judgement.outcome:
            continue
        words, unless, todo = (
            words_in(part),
            "",
            "if it is a baseline, use the same one for all arms",
        )
        if BASELINE & words:
            unless = f"{part} is an unequal baseline"
        elif sign == "/" and not COSTS & words:
            unless, todo = f"{part} is an unequal denominator", "this alone may give the difference"
        judgement = with_note(judgement, f"{note}: {todo}; with the mean of these, {_shown(i)}")
        judgement = structs.replace(judgement, unless=unless or judgement.unless)
    return judgement


def _shown(i: Interval) -> str:
    return f"the number is {digits.in_line(i.estimate, i.low, i.high)}"


def _named(dim: str, levels: set) -> str:
    """Levels in words: layer 1, 2 and 3, or 12 layers from 0 to 22."""
    if len(levels) <= NAMED:
        return f"{dim} {joined(sorted(levels))}"
    ends = "" if isinstance(next(iter(levels)), str) else f" from {min(levels)} to {max(levels)}"
    return f"{counted(len(levels), dim)}{ends}"


def _other_levels(question: Question) -> Iterator[tuple[str, dict[str, set]]]:
    """The columns over which the claim takes the same of each arm though these have other levels,
    with those of each arm."""
    fixed = [d for d in question.fixed if d in question.labels]
    read = {c: (*c.over, *fixed) for c in question.parsed.columns if not c.ranges}
    for dim in dict.fromkeys(d for over in read.values() for d in over if d in question.stay):
        levels = dict[str, set]()
        for c in (c for c, over in read.items() if dim in over):
            arm = c.arm or question.main
            levels[arm] = levels.get(arm, set()) | {*_at(question.of([arm]), c)[dim].tolist()}
        common = len(set.intersection(*levels.values())) if levels else 0
        fewest = min(map(len, levels.values()), default=0)
        # with hardly any in common, each arm has its own, such as the heads of a circuit
        if common >= COMMON * fewest > 0 and common < max(map(len, levels.values())):
            yield dim, levels


def _other_measures(question: Question) -> Iterator[tuple[str, Question]]:
    """What a difference of two arms takes at another level, or of another column, in one of them
    though both have the same; and the question with the same in both."""
    parsed, main, columns = question.parsed, question.main, question.parsed.columns
    if len(columns) != 2 or len(question.compared) != 2 or parsed.statistic is not mean:
        return
    own, other = sorted(columns, key=lambda c: (c.arm or main) != main)
    alike = replace(other, arm=own.arm)
    if own == alike or own.over != other.over or own.ranges != other.ranges:
        return
    text = parsed.text.replace(str(own), str(alike))
    if text == parsed.text or _at(question.of([main]), other).empty:
        return
    both = replace(question, parsed=parse(text))
    yield f"{own} is compared with {other}: with {alike} in its place, ", both


def made_of(question: Question, parts: Sequence[str] = ()) -> Iterator[tuple[str, str, str, str]]:
    """The columns of a claim that are the difference or the ratio of two others in each row, which
    it does not read, or that are among these `parts`: the column, the first, the sign, and the
    second."""
    rows = question.read
    numbers = [str(c) for c in rows.select_dtypes("number") if c not in question.taken]
    for name, (a, b) in product(question.columns, permutations([*numbers, *parts], 2)):
        if name in (a, b):
            continue
        for sign in signs_of(*(rows[c].to_numpy(float) for c in (name, a, b))):
            yield name, a, sign, b


def signs_of(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> Iterator[str]:
    """The sign, if any, with which one column makes a third one of another, row by row."""
    for sign, made in MADE.items():
        with np.errstate(all="ignore"):
            off = np.abs(made(first, second) - x)[np.isfinite(x)]
        if len(off) and off.max() < EXACTLY * np.nanstd(x):  # false of NaN
            yield sign


def _own_parts(question: Question) -> Iterator[tuple[str, str, str, Question]]:
    """The second part of a column that is made of two, such as the baseline of a gain, if arms
    differ in both at the same units; the sign before it, a note, and the question with the mean of
    all arms in its place."""
    whole, arms, units = question.rows, [*question.compared], [*question.axes]
    for name, a, sign, b in made_of(question):
        cells = question.read.groupby([*units, "arm"])[[a, b]].mean().unstack()
        first, second = (cells[x][arms].dropna().to_numpy(float) for x in (a, b))
        apart = second[:, 1:] - second[:, :1]
        clear = np.abs(apart.mean(0)) > SURELY * apart.std(0, ddof=1) / math.sqrt(len(apart))
        if not clear.any() or np.allclose(first, first[:, :1]) or np.allclose(apart, 0):
            continue  # all have the same one, such as the unchanged model's
        of_arms = question.read.groupby([*units, "arm"])[b].mean()
        mean_of = of_arms.groupby(level=units).mean()
        usual = whole[units].join(mean_of, on=units)[b]
        asked = replace(question, rows=whole.assign(**{name: MADE[sign](whole[a], usual)}))
        means = told_apart(*map(float, second.mean(0)))
        each = joined([f"{x} in {arm}" for x, arm in zip(means, arms, strict=True)])
        note = f"{name} is {a} {sign} {b} in each row, and {b} is {each}"
        yield b, sign, note, asked


def _at(rows: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The rows with a number in a column, at the levels that it names."""
    for name, value in column.levels:
        rows = rows[are_at(rows[name], [value])]
    return rows.dropna(subset=[column.name])
