"""Other causes: what else may be the reason for the number of a claim about a table: another column
of which the arms have different shares or amounts, the choice of the best of several, rows without
a number."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from assay.core import digits, judging, strata
from assay.core.claims import Claim
from assay.core.clustered import NONE, Limits, clustered
from assay.core.dependence import Grouping
from assay.core.errors import ClaimError
from assay.core.expression import parse
from assay.core.heavy import scipy
from assay.core.intervals import Interval
from assay.core.nouns import counted, plural
from assay.core.reasons import SELECTION
from assay.core.results import Judged
from assay.core.table_columns import RUNS
from assay.core.table_question import Arms, Question, Roles, hold_fixed, measure, restated

if TYPE_CHECKING:
    import pandas as pd

FEWEST_CANDIDATES = 3
"""Fewest arms from which the best one may have been chosen because it was best."""


@dataclass(frozen=True)
class Search:
    """The search for another cause of the number of a claim."""

    question: Question
    claim: Claim
    independent: bool
    """Whether the arms have no unit in common."""
    level: float

    def _standing(self, asked: Question) -> Interval:
        """The number of another question, and its interval. Raises: ClaimError."""
        claim = restated(self.claim, asked, self.independent)
        return judging.standing(claim, measure(asked, Roles())[0], self.level)[0]

    @property
    def _used(self) -> tuple[str, ...]:
        """The columns that the question uses itself."""
        return (*self.question.labels, *self.question.fixed, *self.question.columns)

    @property
    def _new_units(self) -> str:
        return f"new {' and '.join(plural(u, 2) for u in self.question.axes)}"

    def confounds(self) -> Iterator[Grouping]:
        """Columns of which the arms have clearly different shares, as if in groups, or amounts, if
        each has units of its own: the number and its interval with each held fixed. Many amounts,
        such as another measure, are results of the arm, and no cause: so they leave no claim
        undecided, apart from those of a few values, which may name groups."""
        question, compared = self.question, self.question.read
        steps = {x: compared[x] for x in strata.mixed(compared, question.axes, self._used)}
        named = {*steps}
        if self.independent:
            compared = strata.with_lengths(compared)
            steps |= strata.amounts(compared, question.axes, self._used)
        for name, of in steps.items():
            if not (i := self._held_fixed(compared.assign(**{name: of}), name)):
                continue
            levels, in_steps = of.nunique(), ""
            if compared[name].nunique() > levels:
                means = compared.groupby("arm")[name].mean()[[*question.compared]]
                shown = zip(digits.told_apart(*means), means.index, strict=True)
                are = f"is {' and '.join(f'{x} in {arm}' for x, arm in shown)} on average"
                in_steps = f" in {strata.STEPS} steps"
            else:
                are = strata.in_words(compared, name, question.compared, question.axes)
            limits = Limits(i.low, i.high)
            number = _shown(i, limits)
            words = f"{name} {are}: with {name} held fixed{in_steps}, the number is {number}"
            unless = f"leave the column out if {name} is a result of the arm"
            decides = name in named or (levels > 2 and not in_steps)
            yield Grouping(
                name,
                words if decides else f"{words}; {unless}",
                limits,
                True,
                f'fixed="{name}", or {unless}',
                decides=decides,
                reason=words if decides else f"{name} is the cause, which {are}",
            )

    def _held_fixed(self, compared: pd.DataFrame, name: str) -> Interval | None:
        """The number and its interval with a column held fixed; None where its values have too few
        units in common."""
        question, fixed = self.question, (*self.question.fixed, name)
        asked = replace(question, rows=compared, fixed=fixed, strata=(), known=question.compared)
        try:
            asked, _ = hold_fixed(asked, self.independent)
            i = self._standing(asked)
        except ClaimError:
            return None
        return i if asked.strata and Limits(i.low, i.high).known else None

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
        by_luck = "that are not clearly worse, and may be so by luck"
        if count := _best_of(i, [float(x) for x in reached(others) - named], level, upwards):
            of_arms = f"{main} is the best of {count} arms of this table {by_luck}"
            advice = (
                f"judge this arm alone on {self._new_units}, or name the arms that were no "
                "candidates: also=NAME, or control=NAME"
            )
            yield Grouping(SELECTION, of_arms, _if_chosen(i, count, level), False, advice)
        for dim, chosen in dict.fromkeys(x for c in question.parsed.columns for x in c.levels):
            estimates = [*self._at_other_levels(dim, chosen)]
            if dim in RUNS and estimates[1:]:  # however unlike, all are draws of one thing
                limits = Limits(min(estimates), max(estimates))
                low, high = digits.told_apart(*limits)
                reason = f"{dim} {chosen} was chosen from {counted(1 + len(estimates), dim)}"
                words = (
                    f"the claim is about {dim} {chosen} alone: with each of the other "
                    f"{counted(len(estimates), dim)} in its place, the number is between {low} and "
                    f"{high}; judge all of them, with {dim} as a unit"
                )
            elif count := _best_of(i, estimates, level, upwards):
                limits = _if_chosen(i, count, level)
                reason = f"{dim} {chosen} was chosen as the best of {count}"
                words = (
                    f"{dim} {chosen} is the best of {count} levels of {dim} {by_luck}: if it was "
                    f"chosen for that, the number is {_shown(i, limits)}; judge it alone on "
                    f"{self._new_units}"
                )
            else:
                continue
            yield Grouping(dim, words, limits, True, "", decides=False, reason=reason)

    def _at_other_levels(self, dim: str, chosen: object) -> Iterator[float]:
        """The number of the claim at each other level of a column in place of the chosen one."""
        rows = self.question.read
        place = rf"\b{re.escape(dim)}={re.escape(str(chosen))}(?=[,\]])"
        for other in (x for x in rows[dim].dropna().unique() if str(x) != str(chosen)):
            there = f"{dim}={other}".replace("\\", r"\\")  # which sub() would read as an escape
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
        if not count:
            return
        terms, ends = judging.numbers(claim, arms).terms, list[Limits]()
        few = len(terms) == 1 and 4 * count <= len(rows[units].drop_duplicates())
        for extreme in (np.nanmin, np.nanmax) if few else ():
            filled = {k: np.where(np.isnan(x), extreme(x), x).ravel() for k, x in terms.items()}
            (x,) = filled.values()
            ends.append(clustered(filled, claim.statistic, [np.arange(len(x))], self.level))
        limits = Limits(min(e.low for e in ends), max(e.high for e in ends)) if ends else NONE
        yield Grouping(
            "missing numbers",
            f"{count} {plural('cell' if units[1:] else units[0], count)} without a number, which "
            "may be as low, or as high, as the others are",
            limits,
            False,
            "give each row its number, or say in the sentence which rows it is about",
        )


def _shown(i: Interval, limits: Limits) -> str:
    """A number and its limits, in as many digits as these warrant."""
    return " ".join(digits.estimate(i.estimate, *limits))


def _best_of(i: Interval, rivals: Sequence[float], level: float, upwards: bool) -> int:
    """Count the candidates that are not clearly worse, if the one whose interval this is is the
    best of at least three; else 0."""
    limits = _if_chosen(i, 1 + len(rivals), level)
    near = [x for x in rivals if limits.low < x < limits.high]
    best = all(x < i.estimate if upwards else x > i.estimate for x in near)
    return len(near) + 1 if best and len(near) + 1 >= FEWEST_CANDIDATES else 0


def _if_chosen(i: Interval, count: int, level: float) -> Limits:
    """The interval of the best of so many candidates, so that one of them all misses the truth no
    more often than one alone.

    Formula: limits t(1 − α/2k) / t(1 − α/2) times as far from the estimate, of k candidates
    Source: Dunn, Multiple Comparisons Among Means, 1961 (Bonferroni)"""
    share = (1 - level) / 2 / np.array([1, count])
    one, all_of_them = scipy.special.stdtrit(min(i.n) - 1, 1 - share)
    times = float(all_of_them / one)
    return Limits(*(i.estimate + times * (x - i.estimate) for x in (i.low, i.high)))
