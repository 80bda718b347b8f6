"""Answers: columns that come out of an arm together with the number that is judged, such as the
answer, whether it could be read, and its length; and what they show of a claim that holds."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from assay.core import digits, judging, shares, strata
from assay.core.clustered import Limits
from assay.core.dependence import MOST_LEVELS, Cells
from assay.core.errors import ClaimError
from assay.core.heavy import scipy
from assay.core.nouns import joined
from assay.core.results import Judged, with_note
from assay.core.rows import is_text
from assay.core.stats import mean
from assay.core.table_columns import RUNS
from assay.core.table_question import Question, Roles, asked_again, measure
from assay.core.unlike_sides import EXACTLY, made_of
from assay.core.wordings import numbered

if TYPE_CHECKING:
    import pandas as pd

Found = Iterator[tuple[str, str]]
"""What a claim holds unless it is the cause, "" where that is no doubt, and a note on it."""
EXCEPT, BY_CHANCE = 0.03, 1e-3
"""The share of rows that may differ where a column fixes a number, as some were labelled anew; the
chance below which numbers that are the same are so because it does."""
SAME_TEXT, RARE = 0.25, 0.05
"""The share of the rows of the arm under judgement from which one text is said to be in them, if it
is in at most so many of another arm's."""
FOLLOWS = 0.01
"""The p-value below which a number follows an amount, shared among all amounts."""
AT_END = 0.25
"""The share of an arm's rows with the least or the greatest number, from which these are of two
kinds, such as refusals, whose lengths are a result of the kind."""
FEWEST_RATED, FEWEST_ROWS = 3, 5
"""Values that a rating has, at least, of which a number may be a sum; rows for each of them."""
SHOWN = 40
"""Letters of a text that are shown."""
UNREAD = re.compile(
    r"\W*(|missing|empty|nan|none|null|n/?a|invalid|unparsed|unpars(e?)able|refused"
    r"|no[ _-]?(answer|match|output)"
    r"|((parse|parsing|extraction|format)[ _-]?)?(error|failed|failure)"
    r"|(failed|unable) to parse|could not be parsed)\W*",
    re.IGNORECASE,
)
"""What is written in place of an answer that could not be read, as lm-evaluation-harness writes
[invalid]; also a text that is missing."""


class Fixed:
    """Which columns fix the number that is judged: it is the same in all rows with one value of
    them, though not in all rows. One that does and differs between arms at the same unit, such as
    the answer, is a result of the arm."""

    def __init__(self, question: Question, names: Iterable[str]) -> None:
        self.question, rows = question, question.rows.dropna(subset=question.columns)
        self.values = {x: numbered(rows[x].astype(str).tolist()) for x in names}
        self.numbers = [rows[c].to_numpy(float) for c in question.columns]
        shared = (x for x in RUNS if x in rows and rows.groupby(x)["arm"].nunique().max() > 1)
        keys = [*question.axes, *question.labels, *shared]
        of = (numbered(rows[key].tolist()) for key in dict.fromkeys(keys))
        self.every = np.zeros(len(rows), int)
        self.cell = shares.combined(self.every, *of)
        in_arm = shares.combined(self.cell, numbered(rows["arm"].tolist()))
        self.is_paired = 1 == np.bincount(in_arm).max() < np.bincount(self.cell).max()
        self.alone = {x: self._fix(v) for x, v in self.values.items()}

    def results(self) -> tuple[set[str], list[set[str]]]:
        """The columns that are results of the arm, and the pairs of which one is, such as the right
        answer and the arm's, where arms have units of their own."""
        pairs = list[set[str]]()
        found = {x for x in self.values if self.is_paired and self._is_result(x)}
        found |= {x for x in self.values if self._says_number(x)}
        found |= self._parts() if self.is_paired else set()
        for x, y in itertools.combinations(self.values, 2):
            if {x, y} & found or not self.by_both(x, y):
                continue
            ours = {name for name in (x, y) if self._differs(name)}
            if len(ours) == 1:
                found |= ours
            else:
                pairs.append({x, y})
        return found, pairs

    def by_both(self, x: str, y: str) -> bool:
        """Whether two columns fix the number together, and neither does alone."""
        both = shares.combined(self.values[x], self.values[y])
        return not (self.alone[x] or self.alone[y]) and self._fix(both)

    def is_known(self, name: str) -> bool:
        """Whether a column is the same in all arms at the same unit."""
        return _fixes(self.cell, self.values[name], self.every)

    def _fix(self, by: np.ndarray) -> bool:
        return any(_fixes(by, numbered(x.tolist()), self.every) for x in self.numbers)

    def _is_result(self, name: str) -> bool:
        """Whether a column that differs within units fixes the number, or says that an answer could
        not be read, or fixes the number in each unit, where one of its values is right and no
        other: of two prompts, both may be."""
        if self.is_known(name):
            return False
        if self.alone[name] or _unread(self.question, name):
            return True
        of = self.values[name]
        at_unit = shares.combined(self.cell, of)
        return any(
            len(np.unique(x)) == 2
            and _fixes(at_unit, numbered(x.tolist()), self.cell)
            and _fixes(self.cell, of, self.cell, x == x.max())
            for x in self.numbers
        )

    def _says_number(self, name: str) -> bool:
        """Whether the number does not vary at all within any value of a column, as where one says
        in words whether an answer was right."""
        of = self.values[name]
        return self.alone[name] and any(
            _off(of, numbered(x.tolist()))[0] == 0 for x in self.numbers
        )

    def _parts(self) -> set[str]:
        """The ratings that differ within units and of which the number is a sum or a mean, with
        weights, by least squares, in all rows or in those with more than the least number, as where
        a refusal counts as 0. A baseline that is subtracted is none."""
        question, (number, *more) = self.question, self.numbers
        rows = question.rows.dropna(subset=question.columns)
        names = [
            x
            for x, of in rows.select_dtypes("number").items()
            if x not in question.taken and not of.isna().any() and of.nunique() >= FEWEST_RATED
        ]
        y, x = number, rows[names].to_numpy(float)
        for there in () if more or not names else (y >= y.min(), y > y.min()):
            if there.sum() < FEWEST_ROWS * (1 + len(names)) or np.ptp(y[there]) == 0:
                continue
            size = np.maximum(x[there].std(0), 1e-300)
            of = np.column_stack([(x[there] - x[there].mean(0)) / size, np.ones(there.sum())])
            by = np.linalg.lstsq(of, y[there], rcond=None)[0]
            weights, least = by[:-1], EXACTLY * y[there].std()
            if np.abs(of @ by - y[there]).max() < least and weights.min() > -least:
                parts = {str(k) for k, w in zip(names, weights, strict=True) if w > least}
                return {k for k in parts if k in self.values and not self.is_known(k)}
        return set()

    def _differs(self, name: str) -> bool:
        """Whether arms have other shares of a column at the same units, or units of their own."""
        q, rows = self.question, self.question.read
        apart = rows.groupby([*q.axes])["arm"].nunique().max() == 1
        return bool(strata.needed(rows, q.axes, (name,), independent=apart))


def _fixes(
    by: np.ndarray, of: np.ndarray, without: np.ndarray, there: np.ndarray | None = None
) -> bool:
    """Whether nearly all rows of each group, of those `there`, have the same value, and more often
    than by chance, which is how often those have it in larger groups."""
    usual = _off(without, of)[0]
    off, free = _off(by, of) if there is None else _off(by[there], of[there])
    return off <= min(EXCEPT, usual / 5) and (1 - usual) ** free < BY_CHANCE


def _off(by: np.ndarray, of: np.ndarray) -> tuple[float, int]:
    """The share of rows that do not have the most frequent value of their group, of those that have
    others in it, and how many these are beyond one for each group."""
    both, size = shares.combined(by, of), np.bincount(by)
    most = np.zeros(len(size), int)
    np.maximum.at(most, by, np.bincount(both)[both])
    size, most = size[size > 1], most[size > 1]
    return float((size - most).sum() / max(1, size.sum())), int((size - 1).sum())


def doubted(question: Question, judgement: Judged, independent: bool, level: float) -> Judged:
    """A verdict that holds, or would but for a control, with a note on each thing that the answers
    show, and with that reserve if the outcome would be another without it."""
    own = judging.outcome_of(judgement.claim, judgement.low, judgement.high)
    found: Found = iter(())
    if own == "holds" and judgement.outcome in ("holds", "undecided") and question.compared[1:]:
        found = _failures(question, judgement, independent, level)
    if judgement.outcome == "holds" and question.compared[1:]:
        more = _with_equal_amounts(question, judgement, independent, level)
        found = itertools.chain(found, more, _same_texts(question))
    elif judgement.outcome == "holds":
        found = _in_one_arm(question, judgement)
    for unless, note in found:
        unless = unless if judgement.outcome == "holds" else ""
        if any(said.startswith(note) for said in judgement.notes):
            continue
        judgement = with_note(judgement, note, unless)
    return judgement


def _failures(question: Question, judged: Judged, independent: bool, level: float) -> Found:
    """Rows with a value such as parsed False, of which arms have different shares and which all
    have the least number, if the claim does not hold without them."""
    read, (name, *more) = question.read, question.columns
    least = read[name].to_numpy(float) == read[name].min()
    for column, value in () if more else _values(question):
        there = _written(read[column]).to_numpy() == value
        if not least[there].all() or least.mean() ** there.sum() > BY_CHANCE:
            continue
        few = read[column].nunique() <= MOST_LEVELS
        kinds = numbered(_written(read[column]).tolist()) if few else there.astype(int)
        says_as_much = _off(kinds, least.astype(int))[0]
        if says_as_much <= EXCEPT or f"{column} is the cause" in judged.unless:
            continue
        values = {column: _written(read[column]) == value}
        if not shares.Shares(read, question.axes, question.held, values).differ([(column,)]):
            continue
        keep = (_written(question.rows[column]) != value).to_numpy()
        left = without(question, keep, independent)
        number, same = judged_again(left, judged, independent, level)
        if not same:
            text, in_arms = (
                f"“{value[:SHOWN]}”" if " " in value else value,
                where_there(question, there),
            )
            counts = f"count as {read[name].min():g}"
            yield (
                f"the answers with {column} {text}, which all {counts}, are the cause",
                f"{column} is {text} in {in_arms}, and all of these {counts}: without them, "
                f"{number}",
            )


def _values(question: Question) -> Iterator[tuple[str, str]]:
    """The values that may be failures: those of yes and no and of few texts, a missing text, and a
    text that the arm under judgement gives again and again."""
    rows = question.read
    for column in (str(x) for x in rows if x not in (*RUNS, *question.taken)):
        if rows[column].dtype.kind == "b" or is_text(rows[column]):
            values = _written(rows[column])
            few = values.nunique() <= MOST_LEVELS
            many = dict.fromkeys((*_unread(question, column), *_repeated(question, column)))
            yield from ((column, value) for value in (values.unique() if few else many))


def _unread(question: Question, column: str) -> list[str]:
    """The words of a column for answers that could not be read, by which all of these have the
    least number, more often than by chance."""
    rows, (name, *more) = question.read, question.columns
    if more or not is_text(rows[column]):
        return []
    least, values = rows[name].eq(rows[name].min()), _written(rows[column])
    usual = least.mean()
    return [
        x
        for x in map(str, values.unique())
        if UNREAD.fullmatch(x)
        if least[of := values == x].all() and usual ** of.sum() <= BY_CHANCE
    ]


def _written(values: pd.Series) -> pd.Series:
    return values.astype(str).where(values.notna(), shares.MISSING)


def _repeated(question: Question, column: str) -> list[str]:
    """The text that many rows of the arm under judgement have, and hardly any of another's."""
    main, *others = question.compared
    by_arm = {a: _written(question.of([a])[column]) for a in question.compared}
    text, is_many = str(by_arm[main].mode()[0]), (by_arm[main].value_counts(normalize=True).max())
    rare = all((by_arm[a] == text).mean() <= RARE for a in others)
    return [text] if is_many > SAME_TEXT and rare else []


def without(question: Question, keep: np.ndarray, independent: bool) -> Question:
    """Give the question on the rows to keep, and, where arms have the same units, on the cells that
    all arms then have."""
    left = question.rows[keep]
    if not independent:
        cell = [*question.axes, *question.labels]
        arms = left[left["arm"].isin(question.compared)].groupby(cell)["arm"].nunique()
        common = arms.index[arms == len(question.compared)]
        left = left[left.set_index(cell).index.isin(common)]
    return replace(question, rows=left)


def where_there(question: Question, there: np.ndarray) -> str:
    """Say in which share of each arm's rows something is."""
    share = 100 * question.read.assign(there=there).groupby("arm")["there"].mean()
    first, *others = (f"{share[a]:.0f}% of {a}'s" for a in question.compared)
    return joined([f"{first} rows", *(f"in {x}" for x in others)])


def judged_again(
    asked: Question, judged: Judged, independent: bool, level: float
) -> tuple[str, bool]:
    """Give the number of another question, in words, and whether the outcome is the same, however
    much fewer the units are."""
    try:
        i = asked_again(judged.claim, asked, level, independent)
    except ClaimError:
        return "there are too few rows for a number", False
    by = i.estimate - judged.estimate
    same = judging.outcome_of(judged.claim, judged.low + by, judged.high + by) == "holds"
    return f"the number is {digits.in_line(i.estimate, i.low, i.high)}", same


def _with_equal_amounts(
    question: Question, judged: Judged, independent: bool, level: float
) -> Found:
    """An amount, such as the length of an answer, that the number follows from unit to unit, if the
    claim does not hold of the number that units have where arms have equal amounts, and amounts are
    not equal where the numbers are, as those of another result would be.

    Formula: the intercept of the number in each unit on the difference of log(1 + amount)"""
    (unit, *more), (main, *others), rows = question.axes, question.compared, question.read
    if more or others[1:] or independent or question.strata or judged.claim.statistic is not mean:
        return
    numbers = rows[question.columns]
    at_end = (numbers.eq(x).groupby(rows["arm"]).mean() for x in (numbers.min(), numbers.max()))
    if max(x.to_numpy().max() for x in at_end) > AT_END:
        return
    cells = Cells.of(judging.numbers(judged.claim, measure(question, Roles())[0]), (unit,), mean)
    known, y = np.unique(cells.levels[unit]), cells.values(unit)
    amounts = dict[str, np.ndarray]()
    for name, log in _amounts(question).items():
        by_arm = log.groupby([rows[unit], rows["arm"]]).mean().unstack().reindex(known)
        x = (by_arm[main] - by_arm[others[0]]).to_numpy()
        if np.isfinite(x).all() and len(np.unique(x)) > MOST_LEVELS:
            amounts[name] = x
    for name, x in amounts.items():
        estimate, limits, p = intercept(x, y, level)
        alike = intercept(y, x, level)[1]
        if alike.low <= 0 <= alike.high:
            continue  # arms of equal numbers have equal amounts, so that it may measure the same
        if p < FOLLOWS / len(amounts) and judging.outcome_of(judged.claim, *limits) != "holds":
            are = shares.means_in_words(shares.with_amounts(rows), name, question.compared)
            yield (
                f"{name} is the cause, which {are}",
                f"{name} {are}, and the number follows it: with equal {name} in both arms, the "
                f"number is {digits.in_line(estimate, *limits)}; leave the column out if {name} is "
                "a result of the arm",
            )


def _amounts(question: Question) -> dict[str, pd.Series]:
    """The logarithms of columns that count something, such as tokens, in many values, and of the
    lengths of texts. Other numbers may measure the same as the one that is judged."""
    rows = shares.with_amounts(question.read)
    taken = (*RUNS, *question.taken, *(first for _, first, _, _ in made_of(question)))
    found = {}
    for name, x in rows.select_dtypes("number").items():
        if name not in taken and x.nunique() > MOST_LEVELS and x.min() >= 0 and not (x % 1).any():
            found[str(name)] = np.log1p(x)
    return found


def intercept(x: np.ndarray, y: np.ndarray, level: float) -> tuple[float, Limits, float]:
    """Give the mean of y where x is 0, by the line of least squares, its interval by Student's t,
    and the p-value of a slope of 0."""
    n, off = len(x), x - x.mean()
    slope = float(off @ y / (off @ off))
    estimate = float(y.mean() - slope * x.mean())
    rest = float(np.square(y - estimate - slope * x).sum()) / (n - 2)
    half = float(scipy.special.stdtrit(n - 2, (1 + level) / 2))
    half *= math.sqrt(rest * (1 / n + x.mean() ** 2 / (off @ off)))
    t = abs(slope) * math.sqrt(off @ off / max(rest, 1e-300))
    return (
        estimate,
        Limits(estimate - half, estimate + half),
        float(2 * scipy.special.stdtr(n - 2, -t)),
    )


def _same_texts(question: Question) -> Found:
    """A text that the arm under judgement gives in many of its rows, and another in hardly any."""
    for column in (str(x) for x in question.read if is_text(question.read[x])):
        if column in ("arm", *question.axes) or question.read[column].nunique() <= MOST_LEVELS:
            continue
        for text in _repeated(question, column):
            in_arms = where_there(question, (_written(question.read[column]) == text).to_numpy())
            yield "", f"{column} is “{text[:SHOWN]}” in {in_arms}"


def _in_one_arm(question: Question, judged: Judged) -> Found:
    """The share of right answers that always giving the most frequent one has, if a claim that the
    arm has more is true of it."""
    (name, *more), claim = question.columns, judged.claim
    skip = (*question.axes, *question.labels, name)
    rows, known = question.read, Fixed(question, shares.named(question.rows, skip))
    shared = known.is_paired and {*question.read[name].unique()} <= {0, 1}
    pairs = itertools.permutations(known.values, 2) if shared and not more else ()
    for label, answer in pairs:
        if not known.is_known(label) or known.is_known(answer) or not known.by_both(label, answer):
            continue
        share = rows[label].value_counts(normalize=True)
        usual, x = share.index[0], float(share.iloc[0])
        enough = math.isfinite(claim.low) and judging.outcome_of(claim, x, x) == "holds"
        always = f"always answering {usual}"
        so = ", of which the claim is also true: claim more than that" * enough
        yield (
            f"{always} is a control" * enough,
            f"{always}, the most frequent {label}, has {name} {x:.3g}{so}",
        )
        return
