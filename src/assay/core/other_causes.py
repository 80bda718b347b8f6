"""Other causes: what else may be the reason for the number of a claim about a table: another column
of which the arms have different shares or amounts, the choice of the best of several, rows without
a number."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from assay.core import digits, judging, shares
from assay.core.answers import Fixed
from assay.core.claims import Claim
from assay.core.clustered import NONE, Limits, clustered
from assay.core.dependence import LARGEST_GROUP, Cells, Grouping, carries
from assay.core.errors import ClaimError
from assay.core.expression import parse
from assay.core.heavy import scipy, xr
from assay.core.intervals import FEWEST, Interval
from assay.core.nouns import counted, joined, plural
from assay.core.reasons import SELECTION
from assay.core.results import Judged
from assay.core.rows import Names
from assay.core.table_columns import RUNS, words_in
from assay.core.table_question import Arms, Question, Roles, asked_again, hold_fixed
from assay.core.unlike_arms import ENDS, SETTINGS, settings_of_one
from assay.core.unlike_sides import made_of

if TYPE_CHECKING:
    import pandas as pd

FEWEST_CANDIDATES = 3
"""Fewest arms from which the best one may have been chosen because it was best."""
MOST_TERMS = 4
"""The terms of a number, such as the two means of a ratio, of which each may lack numbers."""
EVERY_THREE = 12
"""Columns at most of which every three are tried together."""
NEAR = 0.2
"""How far an amount of a control may be from that of the arm under judgement to be nearly as much,
as a share of how far that of the others is."""


class _Choice(NamedTuple):
    """One of several levels or columns that a claim chooses."""

    chosen: str
    of: str
    """The column whose level it is, or the word for a run; "" for any other column."""
    others: Iterator[float]
    """The number of the claim with each of the others in its place."""
    best_alone: bool = False
    """Whether the arm by itself, and perhaps not the claim, has its best number at this level."""


@dataclass(frozen=True)
class Search:
    """The search for another cause of the number of a claim."""

    question: Question
    claim: Claim
    independent: bool
    """Whether the arms have no unit in common."""
    level: float
    failing: Names = ()
    """Controls that clearly do not satisfy the claim."""

    @cached_property
    def results(self) -> tuple[set[str], list[set[str]]]:
        """The columns that are results of the arm, and pairs of which one is, such as answers."""
        named = shares.named(self.question.rows, self.question.taken)
        return Fixed(self.question, named).results()

    def _standing(self, asked: Question) -> Interval:
        """The number of another question, and its interval. Raises: ClaimError."""
        return asked_again(self.claim, asked, self.level, self.independent)

    @property
    def _new_units(self) -> str:
        return f"new {' and '.join(plural(u, 2) for u in self.question.axes)}"

    def confounds(self, arms: Arms) -> Iterator[Grouping]:
        """Columns of which the arms have clearly different shares, as if in groups, or amounts, if
        each has units of its own: the number and its interval with each held fixed. So with two or
        three columns, of each of which the arms have different shares at the same values of the
        others, unless one or two of these change the outcome already. Many amounts, such as another
        measure, are results of the arm, and no cause: so they leave no claim undecided, apart from
        those of a few values, which may name groups. Nor is a column a cause that fixes the number,
        or from which a baseline was subtracted for it. An amount is no doubt either if a control
        that does not satisfy the claim has about as much of it as the arm under judgement."""
        question = self.question
        chosen = settings_of_one(question)  # which, held fixed, are as chosen as before
        skip = (*question.taken, *chosen, *(first for _, first, _, _ in made_of(question)))
        rows = shares.with_amounts(question.read) if self.independent else question.read
        names = shares.named(rows, skip)
        results, pairs = self.results
        names = {x: of for x, of in names.items() if x not in results}
        rows = rows.assign(**names)
        amounts = shares.amounts(rows, skip) if self.independent else {}
        values = names | amounts
        stepped = [x for x in values if rows[x].nunique() > values[x].nunique()]
        of_arms = shares.Shares(rows, question.axes, question.held, values)
        sets = of_arms.differ([(x,) for x in names]) + of_arms.differ([(x,) for x in amounts])
        for size in (2, 3) if len(values) <= EVERY_THREE else (2,):
            together = itertools.combinations(values, size)
            # of two other measures, both are results of the arm
            sets += of_arms.differ([x for x in together if len({*x} & {*stepped}) < 2])
        standing, changing = judging.standing(self.claim, arms, self.level)[0], list[set[str]]()
        for columns in sets:
            if any(part <= {*columns} for part in (*changing, *pairs)):
                continue
            held = rows.assign(**{x: values[x] for x in columns})
            if (fixed := self._held_fixed(held, columns)) is None:
                continue
            if self._outcome(fixed) != self._outcome(standing):
                changing.append({*columns})
            many = all(x in names or values[x].nunique() > 2 for x in columns)
            decides = many and isinstance(fixed, Interval) and not {*columns} & {*stepped}
            in_steps = next((x for x in columns if x in stepped), "")
            if not decides and all(_is_shared(question, x, self.failing) for x in columns):
                continue
            yield self._cause(rows, columns, in_steps, fixed, decides)

    def _outcome(self, i: Interval | Limits) -> str:
        return judging.outcome_of(self.claim, i.low, i.high)

    def _cause(
        self,
        rows: pd.DataFrame,
        columns: Sequence[str],
        in_steps: str,
        fixed: Interval | Limits,
        decides: bool,
    ) -> Grouping:
        """Columns that may be the cause, one of which may be an amount `in_steps`, with the number
        if they are held fixed."""
        question, several = self.question, bool(columns[1:])
        held, named = (*question.held, *columns), joined(columns)
        if in_steps:
            where = next((x for x in held if x != in_steps), "")
            described = in_steps
            are = shares.means_in_words(rows, in_steps, question.compared, where)
        else:
            described = joined(held)
            are = shares.in_words(rows, held, question.compared, question.axes)
        cause = f"{named} {'are' if several else 'is'} the cause, "
        cause += f"which {are}" if described == named else f"as {described} {are}"
        unless = f"leave the column out if {named} is a result of the arm"
        given = [x for x in columns if (SETTINGS | ENDS) & words_in(x)]
        if several:
            unless = "leave the columns out if they describe the arm or are results of it"
        elif given:  # which no arm changes
            unless = f"measure the same {plural(named, 2)} in all arms"
        if isinstance(fixed, Interval):
            limits, steps = Limits(fixed.low, fixed.high), f" in {shares.STEPS} steps"
            how = (f", {in_steps}{steps}" if held[1:] else steps) if in_steps else ""
            number = digits.in_line(fixed.estimate, *limits)
            then = f"with {joined(held)} held fixed{how}, the number is {number}"
        else:
            limits, value = fixed, "combination of values" if held[1:] else "value"
            then = f"{named} cannot be held fixed, as no {value} is in two units of each arm"
        words = f"{described} {are}: {then}"
        every = ", ".join(f'"{x}"' for x in held)
        hold = f"fixed={f'[{every}]' if held[1:] else every}"
        if said := [x for x in columns if x not in question.rows]:  # by texts, and no column yet
            hold = f"add {joined([f'a column with {x}' for x in said])} and hold it fixed"
        return Grouping(
            named,
            words if decides else f"{words}; {unless}",
            limits,
            True,
            f"{hold}, or {unless}",
            decides=decides,
            reason=words if decides else cause,
        )

    def _held_fixed(self, compared: pd.DataFrame, names: Sequence[str]) -> Interval | Limits | None:
        """The number and its interval with columns held fixed; no limits where their values have
        too few units in common, and None where arms have no value of a column in common, which may
        describe them, or where the values are the same at the same units."""
        question, fixed = self.question, (*self.question.fixed, *names)
        asked = replace(question, rows=compared, fixed=fixed, strata=(), known=question.compared)
        try:
            asked, _ = hold_fixed(asked, self.independent)
        except ClaimError:
            every = (compared.groupby(x)["arm"].nunique().max() for x in names)
            return NONE if min(every) == len(question.compared) else None
        if not asked.strata:
            return None
        try:
            i = self._standing(asked)
        except ClaimError:
            return None
        return i if Limits(i.low, i.high).known else None

    def selected(self, roles: Roles, judgement: Judged, arms: Arms) -> Iterator[Grouping]:
        """An arm, or a level that the claim chooses, that is the best of several that are named
        nowhere and not clearly worse, any of which might have been claimed: its interval if it was
        chosen for that. A level may as well be what the question is about, so it leaves no claim
        undecided."""
        claim, question, level = self.claim, self.question, self.level
        main, upwards = question.main, math.isfinite(claim.low)
        others = [a for a in judgement.asked if a not in (*question.compared, *roles.named)]
        i = judging.standing(claim, arms, level)[0]
        may_hold = judging.outcome_of(claim, i.estimate, i.estimate) == "holds"
        decided = judgement.outcome not in ("holds", "undecided")
        if decided or not may_hold or upwards == math.isfinite(claim.high):
            return

        def reached(names: Iterable[str]) -> set[str]:
            estimates = (judging.standing(claim.about(a), arms, level)[0].estimate for a in names)
            return {f"{x:.12g}" for x in estimates}

        # copies of the arm, or of one that is named, are no candidates
        named = reached([main, *(a for a in roles.named if a in arms)])
        rivals = [float(x) for x in reached(others) - named]
        if count := _best_of(i, rivals, level, upwards):
            of_arms = f"{main} is {_by_luck(count, 1 + len(rivals), 'arms of this table')}"
            advice = (
                f"judge this arm alone on {self._new_units}, or name the arms that were no "
                "candidates: also=NAME, or control=NAME"
            )
            yield Grouping(SELECTION, of_arms, _if_chosen(i, count, level), False, advice)
        for choice in self._choices():
            estimates = [*choice.others]
            if choice.of in RUNS and estimates[1:]:  # however unlike, all are draws of one thing
                limits = Limits(min(estimates), max(estimates))
                low, high = digits.told_apart(*limits)
                rest = counted(len(estimates), choice.of)
                reason = f"{choice.chosen} was chosen from {counted(1 + len(estimates), choice.of)}"
                words = (
                    f"the claim is about {choice.chosen} alone: with each of the other {rest} in "
                    f"its place, the number is between {low} and {high}; judge all of them, with "
                    f"{choice.of} as a unit"
                )
                advice = f"judge all of them, with {choice.of} as a unit"
            elif count := _best_of(i, estimates, level, upwards, choice.best_alone):
                limits = _if_chosen(i, count, level)
                which = f"levels of {choice.of}" if choice.of else "columns"
                reason = f"{choice.chosen} was chosen as the best of {count}"
                words = (
                    f"{choice.chosen} is {_by_luck(count, 1 + len(estimates), which)}: if it was "
                    f"chosen for that, the number is {digits.in_line(i.estimate, *limits)}; judge "
                    f"it alone on {self._new_units}"
                )
                advice = f"judge it alone on {self._new_units} if {reason}"
            else:
                continue
            yield Grouping(SELECTION, words, limits, True, advice, decides=False, reason=reason)

    def _choices(self) -> Iterator[_Choice]:
        """The levels that a claim chooses of a column, as in acc[layer=7], and the columns that it
        chooses of those whose names differ in a number alone, as acc_layer7."""
        rows, columns = self.question.rows, self.question.parsed.columns
        for dim, chosen in dict.fromkeys(x for c in columns for x in c.levels):
            place = rf"\b{re.escape(dim)}={re.escape(str(chosen))}(?=[,\]])"
            levels = (x for x in rows[dim].dropna().unique() if str(x) != str(chosen))
            others = self._in_place(place, (f"{dim}={x}" for x in levels))
            yield _Choice(
                f"{dim} {chosen}",
                dim,
                others,
                _is_best_alone(self.question, self.claim, dim, chosen),
            )
        for name in dict.fromkeys(c.name for c in columns if re.search(r"\d", c.name)):
            alike = re.sub(r"\d+", r"\\d+", re.escape(name))
            numbered = (x for x in map(str, rows.columns) if re.fullmatch(alike, x) and x != name)
            run = next((w for w in re.split(r"[\W_\d]+", name) if w in RUNS), "")
            yield _Choice(name, run, self._in_place(rf"(?<!\w){re.escape(name)}(?!\w)", numbered))

    def _in_place(self, place: str, others: Iterable[str]) -> Iterator[float]:
        """The number of the claim with each of others in this place of its text."""
        for other in others:
            there = other.replace("\\", r"\\")  # which sub() would read as an escape
            with contextlib.suppress(ClaimError):
                parsed = parse(re.sub(place, there, self.question.parsed.text))
                yield self._standing(replace(self.question, parsed=parsed)).estimate

    def missing(self, arms: Arms) -> Iterator[Grouping]:
        """Rows without a number, which may be those that contradict the claim: the interval if they
        were as low, or as high, as the lowest or highest of the others; none where they are more
        than a quarter."""
        question, claim = self.question, self.claim
        rows, units = question.read, [*question.axes]
        count = len(rows.loc[rows[question.columns].isna().any(axis=1), units].drop_duplicates())
        every = len(rows[units].drop_duplicates())
        absent = 0 if self.independent else _lacking(arms, question.compared, units)
        if (units[1:] and not question.strata and absent > every / 4) or not units[1:]:
            count = max(count, absent)
        if not count:
            return
        terms = judging.numbers(claim, arms).terms
        few = len(terms) <= MOST_TERMS and 4 * count <= every
        limits = _if_extreme(terms, claim, self.level) if few else NONE
        yield Grouping(
            "missing numbers",
            f"{count} {plural('cell' if units[1:] else units[0], count)} without a number, which "
            "may be as low, or as high, as the others are",
            limits,
            False,
            "give each row its number, or say in the sentence which rows it is about",
        )


def _is_best_alone(question: Question, claim: Claim, dim: str, chosen: Any) -> bool:
    """Whether the mean of the arm under judgement is best at this level."""
    means = question.of([question.main]).groupby(dim)[question.columns[0]].mean()
    best = means.idxmax() if math.isfinite(claim.low) else means.idxmin()
    return str(best) == str(chosen)


def _is_shared(question: Question, name: str, failing: Names) -> bool:
    """Whether a control that does not satisfy the claim has nearly as much of an amount, on
    average, as the arm under judgement, next to how much less or more the others have."""
    rows, (main, *others) = question.rows, question.compared
    if name not in rows or not others or rows[name].dtype.kind not in "iuf":
        return False
    means = rows.groupby("arm")[name].mean()
    apart = float((means[others] - means[main]).abs().min())
    return any(abs(means[c] - means[main]) <= NEAR * apart for c in failing if c in means)


def _if_extreme(terms: Mapping[str, np.ndarray], claim: Claim, level: float) -> Limits:
    """The widest interval if missing numbers of each term were its lowest or its highest one."""
    ends = list[Limits]()
    for extremes in itertools.product((np.nanmin, np.nanmax), repeat=len(terms)):
        each = zip(extremes, terms.items(), strict=True)
        filled = {k: np.where(np.isnan(x), of(x), x).ravel() for of, (k, x) in each}
        cells = np.arange(len(next(iter(filled.values()))))
        ends.append(clustered(filled, claim.statistic, [cells], level))
    return Limits(min(e.low for e in ends), max(e.high for e in ends))


def unequal_weights(search: Search, cells: Cells) -> Iterator[Grouping]:
    """A column of two values, of which nearly all units have one, such as what was shown first, if
    the number with the same weight for both lies where the claim has another outcome. It is known
    without the arm: the same in all arms at the same unit."""
    (unit, *more), question = search.question.axes, search.question
    by_unit = question.rows.groupby(unit)
    if more or search.independent or by_unit["arm"].nunique().min() < 2:
        return
    values, levels = cells.values(unit), np.unique(cells.levels[unit])
    for name in (x for x in map(str, question.rows) if x not in question.taken):
        of = by_unit[name].first().reindex(levels).astype(str)
        share = of.value_counts(normalize=True)
        if len(share) != 2 or share.iloc[0] <= LARGEST_GROUP or by_unit[name].nunique().max() > 1:
            continue
        rare = (of == share.index[1]).to_numpy()
        two = [values[rare], values[~rare]]
        if min(map(len, two)) < FEWEST or not carries(values, rare.astype(int)):
            continue
        number = float(np.mean([x.mean() for x in two]))
        if judging.outcome_of_each(search.claim, (number, float(values.mean()))) != "undecided":
            continue
        half = math.sqrt(sum(x.var(ddof=1) / len(x) for x in two)) / 2
        half *= float(scipy.special.stdtrit(min(map(len, two)) - 1, (1 + search.level) / 2))
        limits = Limits(number - half, number + half)
        are = f"is {share.index[0]} in {100 * share.iloc[0]:.0f}% of {plural(unit, 2)}"
        shown = digits.in_line(number, *limits)
        yield Grouping(
            name,
            f"{name} {are}: with the same weight for both of its values, the number is {shown}",
            limits,
            True,
            f"judge the {plural(unit, 2)} with each {name} by themselves",
            decides=False,
            reason=f"{name} is the cause, which {are}",
        )


def _lacking(arms: Arms, compared: Sequence[str], units: Sequence[str]) -> int:
    """Count the levels of a unit, or the cells of two, that one arm has, and another lacks."""
    there = [arms[a].to_array().notnull().all("variable") for a in compared]
    there = [x.any([d for d in x.dims if d not in units]) for x in there]
    every = xr.align(*there, join="outer", fill_value=False)
    return int((reduce(or_, every) & ~reduce(and_, every)).sum())


def _best_of(
    i: Interval, rivals: Sequence[float], level: float, upwards: bool, best: bool = False
) -> int:
    """Count the candidates that are not clearly worse, if the one whose interval this is is the
    best of at least three, or known to be; else 0."""
    limits = _if_chosen(i, 1 + len(rivals), level)
    near = [x for x in rivals if limits.low < x < limits.high]
    best = best or all(x < i.estimate if upwards else x > i.estimate for x in near)
    return len(near) + 1 if best and len(near) + 1 >= FEWEST_CANDIDATES else 0


def _by_luck(count: int, every: int, which: str) -> str:
    """Say of what something is the best, where `count` of all are not clearly worse: the best of 16
    levels of layer (8 more are clearly worse), and may be so by luck."""
    more = every - count
    clearly = f" ({more} more {'is' if more == 1 else 'are'} clearly worse)" * (more > 0)
    return f"the best of {count} {which}{clearly}, and may be so by luck"


def _if_chosen(i: Interval, count: int, level: float) -> Limits:
    """The interval of the best of so many candidates, so that one of them all misses the truth no
    more often than one alone.

    Formula: limits t(1 − α/2k) / t(1 − α/2) times as far from the estimate, of k candidates
    Source: Dunn, Multiple Comparisons Among Means, 1961 (Bonferroni)"""
    share = (1 - level) / 2 / np.array([1, count])
    one, all_of_them = scipy.special.stdtrit(min(i.n) - 1, 1 - share)
    times = float(all_of_them / one)
    return Limits(*(i.estimate + times * (x - i.estimate) for x in (i.low, i.high)))
