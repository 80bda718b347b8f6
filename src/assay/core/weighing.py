"""Weighing: the verdict on a table, where units may depend on each other, or another cause than the
arm may be behind its number: undecided where it would change if this were allowed for, and what is
reported of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, starmap
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from assay.core import dependence, judging, resamples
from assay.core import table_columns as noted
from assay.core.clustered import Limits
from assay.core.copies import check_copies
from assay.core.errors import ClaimError
from assay.core.intervals import FEWEST, interval
from assay.core.nouns import plural
from assay.core.other_causes import Search, unequal_weights
from assay.core.outlying_units import without_groups
from assay.core.power import price_to_decide
from assay.core.reasons import ANSWERS, GROUPED, MIXED, SELECTION, STRADDLES
from assay.core.results import Estimated, Judged, Price
from assay.core.rows import Names
from assay.core.stats import mean
from assay.core.table_question import Arms, Question, Roles, measure, restated
from assay.core.unlike_sides import made_of

if TYPE_CHECKING:
    import pandas as pd

NOTICEABLE = 1.2
"""An interval that allows for the order of units is reported from so many times the width on."""


def weigh(
    question: Question,
    roles: Roles,
    judgement: Judged,
    arms: Arms,
    level: float,
    *,
    whole: Question,
    independent: bool,
    copies: bool,
    distinct: bool,
) -> tuple[Judged, list[str]]:
    """The verdict, undecided where it would change with groups of dependent units as units; and the
    groups that were found. The `whole` question has the levels that the claim does not choose as
    well. Raises: DataError for copies."""
    claim, units = judgement.claim, question.axes
    single = len(question.compared) == 1
    rows = question.of((*question.compared, *(roles.replacing if single else ())))
    check_copies(rows, units, question.columns)
    if min(judgement.n.values()) < FEWEST:
        return judgement, []
    failing = tuple(name for name, v in judgement.controls.items() if v.outcome == "fails")
    search = Search(question, claim, independent, level, failing)
    results, pairs = search.results
    named = (*question.labels, *question.fixed, *results, *chain(*pairs))

    def cells_of(asked: Question) -> dependence.Cells:
        if asked is question:
            return dependence.Cells.of(judging.numbers(claim, arms), units, claim.statistic)
        crossed = restated(claim, asked)
        table = judging.numbers(crossed, measure(asked, roles)[0])
        return dependence.Cells.of(table, asked.axes, crossed.statistic)

    groupings = groupings_of(
        question, rows, named, cells_of, level, roles.controls, copies=copies, ordered=not distinct
    )
    groupings = [_alike(judgement, g) for g in groupings]
    standing = judging.standing(claim, arms, level)[0]
    groupings += resamples.resampled(question, standing, level)
    groupings += search.missing(arms)
    groupings += replace(search, question=whole).selected(roles, judgement, arms)
    groupings += unequal_weights(search, cells_of(question))
    if judgement.outcome in ("holds", "fails", "undecided"):
        groupings = [*search.confounds(arms), *groupings]
    against, reported, unsure = _sorted(judgement, groupings)
    lines = [*dependence.lines(reported), *_if_units(question, judgement, cells_of, level)]
    few, notes = _if_groups(judgement, groupings)
    lines += notes
    few = reported if against else [*reported, *few]
    judgement = _about_groups(judgement, few, "not only " * bool(against))
    judgement = _without_outliers(judgement, reported, arms, level)
    cells = cells_of(question)
    if against:
        return _undecided(judgement, against, rows, cells, level), lines
    unless = unsure[0].reason or unsure[0].words if unsure else ""
    unless = unless.replace(" look like ", " are ")
    price = _without_forecast(judgement, reported, cells, level)
    return structs.replace(judgement, unless=unless, price=price), lines


def _sorted(
    judgement: Judged, groupings: Sequence[dependence.Grouping]
) -> tuple[list[dependence.Grouping], list[dependence.Grouping], list[dependence.Grouping]]:
    """The groupings that leave a verdict undecided, those to report, and those that may be a reason
    to doubt it."""
    claim, decided = judgement.claim, judgement.outcome in ("holds", "fails")
    against, reported, unsure = (list[dependence.Grouping]() for _ in range(3))
    least, greatest = claim.bounds or judgement.natural or (-math.inf, math.inf)
    for grouping in groupings:
        limits = grouping.limits
        outcome = judging.outcome_of(claim, *limits)
        if grouping.answers:
            outcome = judging.outcome_of_each(claim, grouping.answers.values())
        same, changes = _changed(judgement, outcome, grouping)
        if limits.known:
            limits = Limits(max(limits.low, least), min(limits.high, greatest))
        grouping = replace(grouping, limits=limits, changes="" if grouping.answers else changes)
        # next to another reason to leave a claim undecided: that it would fail
        fails = judgement.outcome == "undecided" and grouping.reason and outcome == "fails"
        is_chosen = grouping.name == SELECTION and not decided
        without_reason = grouping.reason and not is_chosen
        if same and not fails and (without_reason or is_as_narrow(grouping, judgement)):
            continue
        if any(g.reason and g.name == grouping.name for g in against):
            continue  # its groups are the arms' different shares
        against += [grouping] if decided and grouping.decides and not same else []
        reported += [grouping] if grouping.carries or is_chosen or grouping in against else []
        unsure += [grouping] if decided and grouping in reported and not same else []
    if against:
        first = against[0] if against[0].reason else None  # which the reason says
        reported = _said_once(judgement, [g for g in reported if g is not first], against)
    return against, reported, unsure


def _without_forecast(
    judgement: Judged,
    reported: Sequence[dependence.Grouping],
    cells: dependence.Cells,
    level: float,
) -> Price | None:
    """What decides an undecided claim that more of its units would decide if they did not belong to
    groups, or if its arm were not the best of several."""
    if judgement.price is None or judgement.price.more is None:
        return judgement.price
    for grouping in sorted(reported, key=lambda g: g.name == SELECTION):
        undecided = judging.outcome_of(judgement.claim, *grouping.limits) == "undecided"
        if undecided and (grouping.counts or grouping.name == SELECTION):
            return _price_of_groups(judgement, cells, grouping, level)
    return judgement.price


def _price_of_groups(
    judgement: Judged, cells: dependence.Cells, grouping: dependence.Grouping, level: float
) -> Price:
    """What decides a claim that a grouping leaves undecided."""
    if grouping.reason and grouping.name == SELECTION and judgement.price:
        return Price(f"{grouping.advice}, or else {judgement.price.text}")
    if grouping.reason:
        return Price(grouping.advice)
    if [*grouping.counts.values()] == [2] and " of " not in grouping.name:  # yes and no, mostly
        each = "judge the rows of each by themselves"
        others = f"if there are other {plural(grouping.name, 2)}, {grouping.todo}"
        return Price(f"{each}, or {grouping.advice}; {others}")
    needed = _groups_needed(judgement, cells, grouping, level)
    is_group = bool(grouping.counts) and not grouping.answers
    more = f"{needed or 'more rows of the same groups do not help'}: " * is_group
    few = min(grouping.counts.values(), default=FEWEST) < FEWEST
    ways = dict.fromkeys((grouping.todo, *([] if " of " in grouping.name else [grouping.advice])))
    return Price(f"{more}{', or '.join(ways) if few else [*ways][-1]}")


def _groups_needed(
    judgement: Judged, cells: dependence.Cells, grouping: dependence.Grouping, level: float
) -> str:
    """Say about how many more groups would decide a claim where more units of the same ones do not,
    if one column names them; "" elsewhere, and if no number of groups would."""
    (name, *others), (of, *_) = [*grouping.counts, ""], [*grouping.groups, None]
    if of is None or others != [""] or " of " in name or len(cells.levels) > 1:
        return ""
    unit, values = next((unit, cells.values(unit)) for unit in cells.levels)
    means = np.bincount(of, values[cells.places(unit)]) / np.bincount(of)
    i = replace(interval({"x": means}, mean), estimate=judgement.estimate)
    claim = replace(judgement.claim, units=(name,), bounds=None, natural=None)
    price = price_to_decide(claim, i, level)
    same = f"more {plural(unit, 2)} of the same {plural(name, 2)} do not help"
    return f"{same}, but {price.text}, probably would" if price.more else ""


def is_as_narrow(grouping: dependence.Grouping, than: Judged | Estimated) -> bool:
    """Whether the interval that allows for an order is as narrow as the one without, and thus no
    reason to doubt it."""
    times = (grouping.limits.high - grouping.limits.low) / max(than.high - than.low, 1e-300)
    return grouping.name == dependence.ORDER and times < NOTICEABLE


def _said_once(
    judgement: Judged,
    reported: Sequence[dependence.Grouping],
    against: Sequence[dependence.Grouping],
) -> list[dependence.Grouping]:
    """The groupings to report where some decide against a claim: without those that change nothing,
    and without neighbours in an order where a column names groups, which may be neighbours."""
    named = bool(max(against, key=lambda g: g.carries).groups)
    without = Limits(judgement.low, judgement.high)
    return [
        replace(g, without=without)
        for g in reported
        if g.changes != dependence.UNCHANGED
        if g.carries or g.name != dependence.ORDER or not named
    ]


def _undecided(
    judgement: Judged,
    against: Sequence[dependence.Grouping],
    rows: pd.DataFrame,
    cells: dependence.Cells,
    level: float,
) -> Judged:
    """The verdict where it would change with these groupings, and what would decide it."""
    first = max(against, key=lambda g: g.carries)
    outcome_of = partial(judging.outcome_of, judgement.claim)
    decisive = _decisive(rows, cells, first, against, outcome_of, level)
    warning = "; ".join(filter(None, (judgement.warning, decisive)))
    price = _price_of_groups(judgement, cells, first, level)
    name = first.name
    for answer, x in first.answers.items():
        if judging.outcome_of(judgement.claim, x, x) != judgement.outcome:
            name = f"{ANSWERS}{first.name} “{answer}”, the number is {x:.3g}"
    name = f"{MIXED}{first.reason}" if first.reason else name
    undecided: dict[str, Any] = {"reason": f"{GROUPED}{name}", "price": price, "warning": warning}
    if not (first.answers or first.reason):
        undecided |= {"low": first.limits.low, "high": first.limits.high, "over": _these(first)}
    return structs.replace(judgement, outcome="undecided", **undecided)


def _decisive(
    rows: pd.DataFrame,
    cells: dependence.Cells,
    first: dependence.Grouping,
    against: Sequence[dependence.Grouping],
    outcome: Callable[..., str],
    level: float,
) -> str:
    """Which unit, or else which group, alone keeps groupings from deciding a claim, in words; ""
    where none or several do."""
    unit, *others = cells.levels
    if others or not all(g.groups for g in against):
        return ""
    level_of_cell = cells.levels[unit]
    by_unit = rows.groupby(unit).first().reindex(level_of_cell)
    for name in (unit, *(c for c in first.counts if c in by_unit)):
        each = level_of_cell if name == unit else by_unit[name].astype(str).to_numpy()
        values, of = np.unique(each, return_inverse=True)
        if found := dependence.decisive(cells, of, against, outcome, level):
            value = values[found[0]] if name == unit else f"“{values[found[0]]}”"
            return f"without {name} {value} it would {found[1].removesuffix('s')}"
    return ""


def _these(grouping: dependence.Grouping) -> str:
    """Say how many groups there are of what: 2 values of right; "" where nothing names them."""
    return " and ".join(starmap(dependence.groups_in_words, grouping.counts.items()))


def _about_groups(judgement: Judged, reported: Sequence[dependence.Grouping], only: str) -> Judged:
    """Name in the scope the first groups with which the outcome would be another: those that a
    verdict is limited to, or that leave it undecided as it is `not only` about these."""
    for grouping in reported:
        if grouping.counts and grouping.changes != dependence.UNCHANGED:
            scope = f"{judgement.scope}; {only}of these {_these(grouping)}"
            return structs.replace(judgement, scope=scope)
    return judgement


def _without_outliers(
    judgement: Judged, reported: Sequence[dependence.Grouping], arms: Arms, level: float
) -> Judged:
    """A verdict whose warning names no outliers that are a group that is reported by itself."""
    if " outlier" not in judgement.warning or len(judgement.units) > 1:
        return judgement
    points = judging.standing(judgement.claim, arms, level)[0].points
    groups = [of for g in reported if len(g.groups) == 1 for of in g.groups]
    warning = without_groups(judgement.warning, points[np.isfinite(points)], groups)
    return structs.replace(judgement, warning=warning)


def _if_units(
    question: Question,
    judgement: Judged,
    cells_of: Callable[[Question], dependence.Cells],
    level: float,
) -> list[str]:
    """Say of what a claim is about alone, if the outcome would be another with this as units,
    too."""
    lines = list[str]()
    taken = {d for c in question.parsed.columns if c.how != "mean" or c.ranges for d in c.over}
    decided = judgement.outcome in ("holds", "fails")
    worded = question.worded() if decided else question
    names = (*question.stay, *(str(d) for d in worded.rows if d not in question.rows))
    for name in (d for d in names if decided and d not in taken):
        labels = tuple(d for d in question.labels if d != name)
        limits = list[Limits]()
        for unit in question.axes:  # three factors at once have no interval
            crossed = replace(worded, axes=(unit, name), labels=labels, strata=())
            with contextlib.suppress(ClaimError):  # arms of other levels cannot be paired
                limits += [g.limits for g in dependence.averaged(cells_of(crossed), name, level)]
        if not limits:
            continue
        widest = Limits(min(x.low for x in limits), max(x.high for x in limits))
        outcome = judging.outcome_of(judgement.claim, *widest)
        if outcome != judgement.outcome:
            these, count = f"these {worded.levels_of(name)}", worded.rows[name].nunique()
            lines.append(dependence.about_these(these, count, widest, outcome))
    return lines


def _alike(judgement: Judged, grouping: dependence.Grouping) -> dependence.Grouping:
    """A grouping in two, which decides nothing if the claim has the same outcome by the number of
    each of the two and by the interval of their mean; they are no sample of others, and the claim
    is about these."""
    known = bool(grouping.each) and all(x.known for x in grouping.each)
    if not known or not grouping.carries | grouping.decides:
        return grouping
    low, high = np.array(grouping.each).T
    numbers, half = (low + high) / 2, float(np.linalg.norm(high - low)) / 4
    ends = [*zip(numbers, numbers, strict=True), (numbers.mean() - half, numbers.mean() + half)]
    outcome = _by_itself(judgement)
    if {judging.outcome_of(judgement.claim, *x) for x in ends} != {outcome}:
        return grouping
    would = f"the claim would {outcome.removesuffix('s')} by the number of each and by their mean"
    return replace(grouping, decides=False, carries=False, changes=would)


def _if_groups(
    judgement: Judged, groupings: Sequence[dependence.Grouping]
) -> tuple[list[dependence.Grouping], list[str]]:
    """The two groups that a claim is limited to as it has the same outcome for each, and notes on
    these and on few groups whose numbers differ less than by chance, if the outcome would be
    another with them as units."""
    alike, lines, seen = list[dependence.Grouping](), list[str](), set[Limits]()
    for g in groupings if judgement.outcome in ("holds", "fails") else ():
        outcome = judging.outcome_of(judgement.claim, *g.limits)
        if g.decides or outcome == judgement.outcome or g.limits in seen or len(g.counts) > 1:
            continue
        seen |= {g.limits} if g.limits.known else set()
        if g.changes:
            alike.append(g)
            lines.append(f"{g.words}: {g.changes}")
        elif len(g.counts) == 1:
            (count,), these = g.counts.values(), f"these {_these(g)}"
            lines.append(dependence.about_these(these, count, g.limits, outcome, g.numbers))
    return alike, lines


def _by_itself(judgement: Judged) -> str:
    """The outcome without controls: only what would hold is unspecific."""
    return "holds" if judgement.outcome == "unspecific" else judgement.outcome


def _changed(judgement: Judged, outcome: str, grouping: dependence.Grouping) -> tuple[bool, str]:
    """Whether a verdict is the same where a grouping is allowed for, by which its number alone has
    this outcome; and that in words."""
    if outcome == _by_itself(judgement) or judgement.outcome == "undecided":  # which stays so
        return True, dependence.UNCHANGED
    if judgement.outcome in ("holds", "fails") and grouping.decides:
        return False, f"with which the claim would {judgement.outcome.removesuffix('s')}"
    return False, f"and the outcome would be {outcome}: {grouping.todo}"


def groupings_of(
    question: Question,
    rows: pd.DataFrame,
    named: Names,
    cells_of: Callable[[Question], dependence.Cells],
    level: float,
    controls: Names = (),
    *,
    copies: bool = True,
    ordered: bool = True,
) -> list[dependence.Grouping]:
    """Find how units may depend on each other, runs that are averaged in each unit included.
    Raises: DataError for copies."""
    units, cells, columns = question.axes, cells_of(question), question.columns
    every = question.of((*question.compared, *controls)) if controls else None
    groupings = dependence.find(
        cells, rows, columns, named, level, every=every, copies=copies, ordered=ordered
    )
    for run in noted.RUNS:
        if len(units) == 1 and run in rows and run not in (*units, *named):
            try:
                crossed = cells_of(replace(question, axes=(*units, run)))
                groupings += dependence.averaged(crossed, run, level)
            except ClaimError:  # arms of other runs cannot be paired
                with contextlib.suppress(ClaimError):  # nor can those with units of their own
                    groupings += _runs_of_arms(question, run, cells_of, level)
    return groupings


def _runs_of_arms(
    question: Question,
    run: str,
    cells_of: Callable[[Question], dependence.Cells],
    level: float,
) -> list[dependence.Grouping]:
    """The grouping by runs, where each arm that is compared has several of its own; one alone shows
    no spread, and the claim is about that run."""
    arm, runs = question.rows["arm"], question.rows[run].astype(str)
    of_arms = {a: runs[arm == a].unique() for a in question.compared}
    sizes = [len(names) for names in of_arms.values()]
    if min(sizes) < 2 or sum(sizes) > len({*chain(*of_arms.values())}):
        return []

    def number_without(a: str, name: str) -> float:
        left = cells_of(replace(question, rows=question.rows[(arm != a) | (runs != name)]))
        return dependence.number(left.terms, left.statistic)

    without = {a: [number_without(a, name) for name in names] for a, names in of_arms.items()}
    return [dependence.runs_of_arms(cells_of(question), run, without, level)]


def with_ratio_of_means(question: Question, judged: Judged) -> Judged:
    """A verdict that outliers of a mean of ratios leave undecided, such as recovered = gain/gap,
    with the ratio of the means as what decides it, if the table has both columns."""
    if judged.reason != STRADDLES or " outlier" not in judged.warning:
        return judged
    text = question.parsed.text
    quotients = {name: (a, b) for name, a, sign, b in made_of(question) if sign == "/"}
    for c in question.parsed.columns:
        parts = quotients.get(c.name)
        if parts is None or c.how != "mean" or judged.claim.statistic is not mean:
            return judged
        over, under = (replace(c, name=x) for x in parts)
        text = text.replace(str(c), f"mean({over})/mean({under})")
    if text == question.parsed.text:
        return judged
    why = f"{c.name} is {over.name}/{under.name}, which explodes where {under.name} is near 0"
    return structs.replace(judged, price=Price(f"judge the ratio of means, {text}, because {why}"))
