"""judge and estimate: the verdict machinery on anyone's numbers: a table of rows, a claim as text →
Judged; a quantity as text → Estimated."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from assay.core import (
    absent,
    answers,
    apart,
    balance,
    common_column,
    cut_off,
    dependence,
    draws,
    drift,
    estimates,
    foreign,
    judge_replies,
    judging,
    missing_marks,
    not_applied,
    one_level,
    other_units,
    rating_scale,
    rounding,
    same_numbers,
    strata,
    twin_columns,
    two_kinds,
    unchanged,
    unlike_arms,
    unlike_sides,
)
from assay.core import rows as rows_of
from assay.core import table_columns as noted
from assay.core.across import OfAll
from assay.core.bands import OfMeans
from assay.core.claims import Claim, Estimate
from assay.core.clustered import Limits
from assay.core.copies import check_copies, copied, copied_in_words, rescaled
from assay.core.dealing import DEALT, caution, deal, shuffle
from assay.core.errors import Argument, ClaimError, every, nearest
from assay.core.expression import Parsed, parse, range_of, with_arm
from assay.core.heavy import xr
from assay.core.intervals import FEWEST, FOLD, fewest, shared_training
from assay.core.nouns import all_of, joined, plural
from assay.core.reading import LEARNED, LEFT_OUT, Others, tabulate
from assay.core.reasons import STRADDLES, TIES, UNCONTROLLED, UNTESTED
from assay.core.results import Estimated, Judged, Price, with_note
from assay.core.rounding import grid
from assay.core.rows import Names
from assay.core.stats import mean
from assay.core.table_question import (
    Arms,
    Question,
    Roles,
    claim_of,
    hold_fixed,
    measure,
    natural_of,
    value_of,
)
from assay.core.ties import ROUNDED
from assay.core.weighing import groupings_of, is_as_narrow, weigh, with_ratio_of_means

if TYPE_CHECKING:
    import pandas as pd

NOT_FOUND = " not found"
"""How the reason ends that is stored where a planted violation is not."""
ARMS, CELLS = 1_000, 10_000_000
"""Arms of a table, and combinations of its units' levels."""


def judge(
    frame: pd.DataFrame | Mapping[str, Sequence] | Path | str,
    *,
    claim: str,
    unit: str | Sequence[str],
    control: str | Sequence[str] | Mapping[str, str] = (),
    about: str = "",
    must_hold: str | Sequence[str] = (),
    also: str | Sequence[str] = (),
    unlearned: str | Sequence[str] = (),
    violation: str | Sequence[str] = (),
    fixed: str | Sequence[str] = (),
    beats: float = 0.0,
    empty: float | None = None,
    bounds: tuple[float, float] | None = None,
    level: float = 0.95,
    noise: float = 0.0,
    tested: int = 0,
    scope: str = "",
    copies: bool = True,
    distinct: bool = False,
    automatic: Sequence[str] = (),
    arm_column: str = "arm",
) -> Judged:
    """Judge a claim such as "gated.fvu - relu.fvu < -0.02" about the rows of a table, with its
    controls.

    The table has a column `arm` (or `arm_column`), a column for each unit, and numbers. Each
    control takes the place of the arm that the claim is about, and has to be beaten. Every other
    arm of the table is judged as well, and counted if it satisfies the claim; if it is one of those
    in `unlearned`, the claim is unspecific. Runs, and rows that no column distinguishes, are
    averaged if they share arm and units, and a note says so; rows that differ in another column are
    averaged only if the claim names that column.

    Args:
        frame: a DataFrame, columns by name, or the path of a CSV.
        claim: with its threshold, such as "a.fvu - b.fvu < -0.02".
        unit: one or two columns of independent units.
        control: arms that have to be beaten; by default the same rows with shuffled labels. A
            mapping gives for each near control its alternative explanation.
        about: the arm that the controls replace; needed only if the outcome depends on it.
        must_hold: arms with a planted effect.
        also: rivals that may satisfy it.
        unlearned: arms in which nothing was learned, such as random ones.
        violation: arms with a planted violation, for a claim that there is little or no effect.
        fixed: columns, such as template, if the claim is only about their values in the table;
            otherwise the verdict also has to be the same with these values as units.
        beats: the margin by which each control has to be beaten.
        empty: the value for no effect, 0 by default.
        bounds: the least and the greatest number that a unit can have, for an exact interval.
        level: of the interval, 0 to 1.
        noise: by how much the value differs between measurements; the interval is widened by it on
            either side.
        tested: how many rows all folds were tested on together, or for an AUROC how many of the
            rarer label, which decide where every fold has 1, or 0.
        scope: what the verdict is about, in words.
        copies: whether units may count as copies because of their numbers alone.
        distinct: whether units are known to differ and to have no order, such as prompts. A pattern
            in the order of rows then decides nothing, and if all units have the same number, the
            verdict is about the median.
        automatic: controls that are no other explanation of finding no effect where they have none,
            either.
        arm_column: the column of arms.
    Raises: DataError when the table cannot be used, ClaimError when the claim cannot be judged on
    it.
    Example:
        >>> import assay
        >>> rows = {"arm": ["new"] * 6 + ["old"] * 6 + ["again"] * 6, "seed": [*range(6)] * 3}
        >>> rows["fvu"] = [0.11, 0.12, 0.14, 0.10, 0.13, 0.15]
        >>> rows["fvu"] += [0.21, 0.23, 0.24, 0.22, 0.25, 0.26]
        >>> rows["fvu"] += [0.22, 0.225, 0.25, 0.215, 0.26, 0.255]  # as old, on other draws
        >>> claim = "new.fvu - old.fvu < -0.05"
        >>> assay.judge(rows, claim=claim, unit="seed", control="again", about="new")
        <Judged 'new.fvu - old.fvu < -0.05': holds, -0.11 [-0.1194, -0.1006]>
    """
    units, parsed = _names(unit), _parse(claim)
    near = dict(control) if isinstance(control, Mapping) else {}
    named = (tuple(control) if near else control, must_hold, also, unlearned, violation, fixed)
    roles = Roles(*map(_names, named))  # type: ignore[arg-type]
    rows, source = rows_of.read(
        frame,
        arm_column,
        needed=not isinstance(parsed.statistic, OfAll),  # whose control is made of the arm itself
        wide=lambda rows: rows_of.melted(rows, parsed, units, roles.controls),
    )
    _check_tested(tested, units)
    foreign.within(rows["arm"].nunique(), ARMS, source, "arms")
    question = _question(rows, source, parsed, units, roles, arm_column, about=about)
    question, roles, near = draws.apart(question, roles, near)
    question, paired = draws.paired(question, roles.replacing)
    facts: dict[str, Any] = {"beats": beats, "empty": empty, "near": near, "rounding": noise}
    facts |= {"automatic": _names(automatic)}
    of = partial(_judged, roles=roles, bounds=bounds, facts=facts, copies=copies, level=level)
    of = partial(of, scope=scope, tested=tested, distinct=distinct, paired=paired)
    mains = question.compared if question.is_open else (question.main,)
    readings = {arm: of(replace(question, main=arm)) for arm in mains}
    if len({judged.outcome for judged in readings.values()}) == 1:
        return readings[question.main]
    # in another arm's place, a planted violation need not be found
    found = [arm for arm, judged in readings.items() if not judged.reason.endswith(NOT_FOUND)]
    if not roles.violations or len(found) != 1:
        raise _unclear(question, roles)
    return readings[found[0]]


def _unclear(question: Question, roles: Roles) -> ClaimError:
    """The refusal of a claim whose outcome depends on which arm other arms replace."""
    text, mains = question.parsed.text, question.compared
    other = (*roles.replacing, *roles.unlearned, *question.others)[0]
    each = [f"in place of {arm} it reads {with_arm(text, arm, other)}" for arm in mains]
    ways = [x for arm in mains for x in (" or ", Argument("about", arm))][1:]
    return ClaimError(
        f"which arm is the claim about? With {other} {', and '.join(each)}; the outcomes differ, "
        "so add ",
        *ways,
    )


def _judged(
    question: Question,
    *,
    roles: Roles,
    bounds: tuple[float, float] | None,
    facts: Mapping[str, Any],
    copies: bool,
    paired: Sequence[str],
    **how: Any,
) -> Judged:
    """The verdict if the claim is about the main arm of the question. Raises: DataError,
    ClaimError."""
    units, empty = question.axes, facts["empty"] or 0.0
    question, separate = same_numbers.separated(question)
    arms, notes = measure(question, roles)
    notes += paired
    compared = {arm: arms[arm] for arm in question.compared}
    independent = len(units) == 1 and apart.are_apart(compared, units[0])
    question, held = hold_fixed(question, independent)
    if question.strata:
        arms, notes = measure(question, roles)
    if independent:
        each = {a: arms[a].mean(question.strata) for a in question.compared}
        in_words = apart.in_words(each, units[0])
        notes += [*separate, *in_words[:1]] if separate else in_words
    if independent or question.strata:
        notes += [*held, *([apart.UNBOUNDED] if bounds is not None else [])]
    roles, control_notes = _with_controls(question, roles, arms, empty)
    try:
        statement = replace(claim_of(question, roles, bounds, independent), **facts)
    except ClaimError as e:
        raise ClaimError("; ".join([str(e), *separate])) from e
    arms |= {n: arms[n].assign_attrs({LEARNED: ()}) for n in roles.unlearned if n in arms}
    by_means = independent or bool(question.strata)  # no unit has a number by itself
    decide: Callable[..., Any] = partial(_decide, question, independent=by_means, **how)
    judgement, tied, moved = decide(statement, arms)
    if control_notes and _is_true_of_equals(question, statement, judgement, arms, empty):
        judgement, tied, moved = _without_labels(statement, arms, decide)
        control_notes = [NOT_DEALT] * (judgement.outcome != "fails")
    later = _notes(question, judgement, arms, by_means) + _suggested_bounds(question, judgement)
    notes = _unless_said(notes + control_notes, later, question)
    whole, question = question, question.at_its_levels
    given: dict[str, Any] = {"independent": independent, "copies": copies, "level": how["level"]}
    if not tied:
        more = given | {"whole": whole, "distinct": how["distinct"]}
        judgement, shared = weigh(question, roles, judgement, arms, **more)
        later += shared
    replaced = question.main if question.compared[1:] and not control_notes else ""
    judgement = structs.replace(judgement, notes=(*notes, *moved, *later), replaced=replaced)
    no_tests = dict(rescaled(judgement, question.main, arms)) if copies else {}
    judgement = structs.replace(judgement, no_tests=no_tests)
    judgement = untested(judgement, copied(judgement, question.compared[1:], arms))
    judgement = _true_of_others(question, judgement, dealt=bool(control_notes))
    judgement = with_ratio_of_means(question, judgement)
    judgement = unchanged.doubted(question, judgement, arms, by_means, how["level"])
    judgement = two_kinds.explained(question, judgement, arms, how["level"])
    judgement = _of_unlike_arms(question, judgement, roles, **given)
    return within(judgement, judgement.claim.bounds or judgement.natural)


def _of_unlike_arms(
    question: Question,
    judgement: Judged,
    roles: Roles,
    level: float,
    *,
    independent: bool,
    copies: bool,
) -> Judged:
    """The verdict with what the rows show of arms that were not measured alike."""
    judgement = unlike_sides.with_equal_parts(question, judgement, independent, level)
    if judgement.outcome in ("holds", "fails"):
        chosen, weaker = unlike_arms.settings_of_one(question), list[str]()
        if judgement.outcome == "holds":  # and these columns are then named as those of the control
            weaker = [
                x for names, *_ in unlike_arms.weaker(question, roles.controls) for x in names
            ]
        as_long = unlike_arms.about_as_long(question) if judgement.outcome == "holds" else ()
        taken = (*question.axes, *question.labels, *question.columns, *chosen, *weaker, *as_long)
        ask = question.compared, taken, roles.controls, judgement.outcome
        cause, together = noted.one_with_arms(question.rows, *ask, independent=independent)
        judgement = with_note(judgement, together, cause) if together else judgement
    judgement = common_column.doubted(question, judgement)
    judgement = missing_marks.doubted(question, judgement, independent, level, filled=copies)
    judgement = answers.doubted(question, judgement, independent, level)
    judgement = judge_replies.doubted(question, judgement, roles.controls, independent, level)
    judgement = one_level.doubted(question, judgement, independent, level)
    judgement = unlike_sides.doubted(question, judgement, independent, level)
    judgement = unlike_arms.doubted(question, judgement, roles.controls)
    more = _measured_otherwise(question, judgement, roles, independent, level)
    for unless, note in more if judgement.outcome == "holds" and question.compared[1:] else ():
        judgement = with_note(judgement, note, unless)
    return balance.reported(question, judgement, roles.controls)


def _measured_otherwise(
    question: Question, judgement: Judged, roles: Roles, independent: bool, level: float
) -> Iterator[tuple[str, str]]:
    """What a claim that compares arms holds unless it is the cause, "" where that is no doubt, and
    a note on it."""
    again = question, judgement, independent, level
    yield from twin_columns.found(question)
    yield from other_units.found(*again)
    yield from cut_off.found(*again)
    yield from not_applied.found(question, roles.controls)
    yield from drift.found(*again, roles.controls)


def _check_tested(tested: int, units: tuple[str, ...]) -> None:
    if tested < 0 or (tested and units != (FOLD,)):
        raise ClaimError(f"tested= is a number of rows behind folds; got {tested}, and {units[0]}")


def untested(judgement: Judged, copied: Sequence[str] = ()) -> Judged:
    """Give the verdict, undecided where it would hold and none of its controls is a test, as those
    are none that are `copied` from what it is compared with."""
    tests = (c for c in judgement.controls if c not in copied and not judgement.no_test(c))
    if judgement.outcome != "holds" or any(tests):
        return judgement
    price = Price("name another control, one that could satisfy the claim as well")
    return structs.replace(judgement, outcome="undecided", reason=UNTESTED, price=price)


def _unless_said(notes: list[str], later: Sequence[str], question: Question) -> list[str]:
    """The notes without those on missing cells, where a later one names the units left out."""
    if len(question.axes) > 1 or not any("left out: " in note for note in later):
        return _once(notes)
    arms = tuple(f"{arm}: " for arm in question.compared)
    return _once([n for n in notes if "missing" not in n or not n.startswith(arms)])


def _once(notes: Sequence[str]) -> list[str]:
    """Write what is noted of several arms in the same words as one note."""
    by_words: dict[str, list[str]] = {}
    for note in notes:
        *arm, words = note.split(": ", 1)
        by_words.setdefault(words, []).extend(arm)
    names = {w: f"{len(a)} arms" if a[3:] else ", ".join(a) for w, a in by_words.items()}
    each = {w: "each of " if a[1:] else "" for w, a in by_words.items()}
    return [f"{each[w]}{names[w]}: {w}" if names[w] else w for w in by_words]


def _with_controls(
    question: Question, roles: Roles, arms: Arms, nothing: float
) -> tuple[Roles, list[str]]:
    """Where no control is named: the violations of a claim of no effect, or else the arm with the
    labels dealt out, or one column of a correlation, which is added to the arms; and notes on
    it."""
    parsed = question.parsed
    if roles.controls:
        return roles, []
    if roles.violations and parsed.low < nothing < parsed.high:
        # shuffled labels have no effect either, which is no other explanation of finding none
        return replace(roles, controls=roles.violations), []
    name = DEALT if DEALT not in question.known else f"{DEALT} labels"
    if isinstance(parsed.statistic, OfAll):
        column = next(c for c in parsed.columns if c.arm in (None, question.main))
        unit = next((u for u in question.axes if u not in noted.RUNS), question.axes[0])
        arms[name] = shuffle(arms[question.main], column.key, unit, arms)
        return replace(roles, controls=(name,)), [caution(name, question.others, column.name)]
    labelled = parsed.arms if len(parsed.arms) > 1 else question.known
    arms[name] = _dealt(question, labelled)
    others = [a for a in question.known if a not in labelled]
    return replace(roles, controls=(name,)), [caution(name, others)]


NOT_DEALT = "this claim is always true of shuffled labels, so these are no control of it"
CONTROL_WANTED = (
    "name a control, an arm that should not satisfy the claim, such as a random circuit or "
    "direction of the same size"
)


def _is_true_of_equals(
    question: Question, statement: Claim, judgement: Judged, arms: Arms, nothing: float
) -> bool:
    """Whether a claim of no effect, or that arms are close, such as a ratio above 0.8, is true of
    an arm that is equal to what it is compared with, and so of labels dealt out, its only
    control."""
    (main, *others), parsed = question.compared, question.parsed
    (dealt,) = judgement.controls.values()
    if dealt.outcome == "fails":
        return False
    if parsed.low < nothing < parsed.high and parsed.low < dealt.estimate < parsed.high:
        return True
    for other in (x for x in others if {*arms[main]} <= {*arms[x]}):
        with np.errstate(all="ignore"):  # as of a ratio to a difference that is 0 of equal arms
            equal = judging.standing(statement, {**arms, main: arms[other]})[0].estimate
        if judging.outcome_of(statement, equal, equal) == "holds":
            return True
    return False


def _without_labels(
    statement: Claim, arms: Arms, decide: Callable[..., Any]
) -> tuple[Judged, bool, list[str]]:
    """The verdict without the labels dealt out, the only control, which is marked as left out."""
    (dealt,) = statement.must_fail
    arms[dealt] = arms[dealt].assign({LEFT_OUT: 0})
    judgement, tied, moved = decide(statement, arms)
    if judgement.reason == UNCONTROLLED:
        judgement = structs.replace(judgement, price=Price(CONTROL_WANTED))
    return judgement, tied, moved


def _true_of_others(question: Question, judged: Judged, *, dealt: bool) -> Judged:
    """Name the other arms of the table that satisfy a claim that holds, and in a comparison the
    place that they take. Where labels `dealt` out are the only control, one of these arms may be
    the other explanation: the outcome is then given with that reserve."""
    if judged.outcome != "holds" or not judged.also:
        return judged
    numbers = [f"{arm} ({other.estimate:.3g})" for arm, other in judged.also.items()]
    more = f" and {len(numbers) - 3} more" if numbers[3:] else ""
    main, *others = question.compared
    place = f", in place of {main}" * bool(others)
    note = f"the claim is also true of {', '.join(numbers[:3])}{more}{place}"
    names = [arm for arm, other in judged.also.items() if other.reason is None]
    if not dealt or not names:
        return structs.replace(judged, notes=(*judged.notes, note))
    about = f' and about="{main}"' * question.is_open
    explains = f'give control="{names[0]}"{about}, and the claim is unspecific'
    note += f": if that is another explanation, {explains}"
    which = " or ".join(names) if len(names) < 3 else f"one of {len(names)} other arms"
    unless = judged.unless or f"{which} is a control"
    return structs.replace(judged, notes=(*judged.notes, note), unless=unless)


def within(judgement: Judged, ends: Sequence[float] | None) -> Judged:
    """Cut the intervals of all arms off at the least and the greatest possible value, unless the
    estimate itself lies beyond."""
    least, greatest = ends or (-math.inf, math.inf)

    def cut(v: Any) -> Any:
        if not least <= v.estimate <= greatest:
            return v
        return structs.replace(v, low=max(v.low, least), high=min(v.high, greatest))

    arms = {
        role: {name: cut(v) for name, v in getattr(judgement, role).items()}
        for role in ("controls", "planted", "violations", "also")
    }
    return structs.replace(cut(judgement), **arms)


def _parse(text: str, *, compared: bool = True) -> Parsed:
    """Read a claim or a quantity. Raises: ClaimError, also for one whose interval is by a band,
    which does not allow for dependent rows."""
    parsed = parse(text, compared=compared)
    if isinstance(parsed.statistic, OfMeans):
        raise ClaimError(f"{text!r}: of a table, claim each level by itself, or estimate over them")
    return parsed


def _question(
    rows: pd.DataFrame,
    source: str,
    parsed: Parsed,
    units: Names,
    roles: Roles,
    arm_column: str,
    over: str = "",
    *,
    about: str = "",
    only_named: bool = False,
) -> Question:
    """Check a text against the arms and columns of a table, and report all names that it lacks;
    `only_named`: arms must distinguish all rows. Raises: ClaimError, DataError."""
    arm_names = tuple(str(a) for a in rows["arm"].unique())
    columns = list(dict.fromkeys(c.name for c in parsed.columns))
    axes, where = (*units, *filter(None, [over])), f"column {arm_column} of {source}"
    _refuse_differences(parsed, arm_names, where)
    main, *_ = every(
        partial(_under_judgement, parsed, arm_names, roles.controls, about),
        partial(rows_of.check_units, rows, units, parsed),
        *(partial(rows_of.check_units, rows, (x,), parsed, "over") for x in axes[len(units) :]),
        *(partial(_check_arm, a, arm_names, where) for a in (*parsed.arms, *roles.named)),
        *(partial(rows_of.check_numeric, rows, c, axes, source) for c in columns),
        *(partial(_check_fixed, rows, c, (*axes, *columns, "arm")) for c in roles.fixed),
    )
    _check_size(rows, axes, source)
    _check_controls(main, parsed, roles.replacing, arm_names)
    noted.check_scale(rows, (main, *parsed.arms, *roles.named), columns)
    if only_named:
        rows = rows[rows["arm"].isin([main, *parsed.arms])].copy()
    dims = dict.fromkeys(dim for c in parsed.columns for dim in c.named)
    labels = noted.find_labels(rows, axes, columns, dims, source)
    _check_size(rows, (*axes, *labels), source)
    return Question(rows, source, parsed, axes, main, arm_names, labels, roles.fixed, about)


def _check_size(rows: pd.DataFrame, axes: Names, source: str) -> None:
    """Refuse a table with more cells than can be judged. Raises: DataError."""
    count = math.prod(rows[name].nunique() for name in axes)
    foreign.within(count, CELLS, source, f"combinations of {' and '.join(axes)}")


def _decide(
    question: Question,
    statement: Claim,
    arms: Arms,
    level: float,
    scope: str,
    independent: bool,
    *,
    tested: int,
    distinct: bool,
) -> tuple[Judged, bool, list[str]]:
    """The verdict; where units tie, the one by an interval widened for rounding. Also whether units
    tie, and notes on what was done about it, and on an exact interval."""
    notes = list[str]()
    rows = question.read
    scope = question.scope(scope)
    judgement = judging.judge(statement, arms, level, scope)
    if judgement.bounds and not statement.bounds and len(question.axes) == 1:
        notes.append(_exact(question, judgement.bounds))
    may_rate = judgement.verdict.reason == TIES and not independent and not statement.bounds
    if may_rate and (rated := rating_scale.find(question, (statement.low, statement.high))):
        statement = replace(statement, bounds=rated.bounds)
        judgement = judging.judge(statement, arms, level, scope)
        notes.append(f"{rated.words}; if it has other ends, add bounds=(LOW, HIGH)")
    if tied := judgement.verdict.reason == TIES and not independent:
        keys = {c.key: c.name for c in question.parsed.columns}
        # Half a step beyond a bound is no unit, and the units themselves were held to it before.
        free = replace(statement, bounds=None)
        moved = rounding.find(lambda arms: judging.standing(free, arms)[0].points, arms, rows, keys)
        if moved.by:
            judgement = judging.judge(replace(statement, rounding=moved.by), arms, level, scope)
            notes.append(moved.words)
    if judgement.verdict.reason == TIES and not independent and distinct:
        judgement, reported = _of_the_median(statement, judgement, arms, level, scope)
        notes += reported
    rounded = any(grid(rows[c].to_numpy(float)) > 0 for c in question.columns)
    # Where all is right, or nothing, a share is at its bound without any rounding.
    rounded = rounded and {*judgement.points} not in ({0.0}, {1.0})
    alike = judgement.units == (FOLD,) and len({*judgement.points}) == 1 and not rounded
    if alike and judgement.reason in (TIES, STRADDLES):
        judgement = _of_equal_folds(statement, judgement, arms, level, scope, tested)
    elif judgement.verdict.reason == TIES:
        price = Price(apart.UNBOUNDED) if independent else _untied(judgement, rounded)
        judgement = structs.replace(judgement, price=price)
    return judgement, tied, notes


def _exact(question: Question, bounds: Sequence[float]) -> str:
    """Say why units have exact limits, and between which bounds."""
    columns, (low, high) = question.columns, bounds
    verb = "are" if columns[1:] else "is"
    name = "each unit is" if question.parsed.share else f"{' and '.join(columns)} {verb}"
    return f"{name} 0 or 1 in every row: exact interval between {low:g} and {high:g}"


def _of_the_median(
    statement: Claim, judgement: Judged, arms: Arms, level: float, scope: str
) -> tuple[Judged, list[str]]:
    """The verdict on the median, where all units of one factor have one and the same number: the
    least and the greatest unit are exact limits of it, and nothing bounds the mean. As it was where
    there are too few units for that, or where the number lies on the threshold."""
    points = np.array(judgement.verdict.points)
    n, (unit, *more) = len(points), statement.units
    same = n and np.ptp(points) <= ROUNDED * np.abs(points).max()
    if more or statement.statistic is not mean or not same or 2.0 ** (1 - n) > 1 - level:
        return judgement, []
    width = ROUNDED * max(1.0, float(np.abs(points).max()))  # of the order of a sum
    by_median = judging.judge(replace(statement, rounding=width), arms, level, scope)
    if by_median.verdict.reason == STRADDLES:
        return judgement, []
    share = 1 - ((1 - level) / 2) ** (1 / n)
    note = (
        f"{all_of(n)} {plural(unit, n)} have the same number: the verdict is about the median "
        f"{unit}, and not about the mean, since {n} that agree do not exclude that up to "
        f"{100 * share:.0f}% of all {plural(unit, 2)} have another number"
    )
    return by_median, [note]


def _notes(question: Question, judgement: Judged, arms: Arms, independent: bool) -> list[str]:
    """Notes on a verdict: conditions, and units that are left out."""
    units, labels, columns = question.axes, question.labels, question.columns
    rows = question.read
    compared = {arm: arms[arm] for arm in question.compared}
    return [
        *noted.same_rows(rows, units, labels, columns),
        *noted.same_weights(rows, units, question.compared),
        *noted.too_few(judgement.verdict.n),
        *noted.left_out(judgement, rows if independent else question.rows, units, compared),
        *copied_in_words(judgement, question.compared[1:], arms),
    ]


def estimate(
    frame: pd.DataFrame | Mapping[str, Sequence] | Path | str,
    *,
    value: str,
    unit: str | Sequence[str],
    over: str = "",
    crosses: float | None = None,
    natural: tuple[float, float] | None = None,
    level: float = 0.95,
    scope: str = "",
    arm_column: str = "arm",
) -> Estimated:
    """Estimate a quantity such as "gated.fvu - relu.fvu" from the rows of a table, with its
    interval; over a column, a curve with a band, and where it crosses a value.

    An estimate is not judged, so it needs no control, and a table without a column `arm` is one
    arm. Its notes say how units depend on each other, as far as the numbers show it.

    Args:
        frame: a DataFrame, columns by name, or the path of a CSV.
        value: what is estimated, without a threshold.
        unit: one or two columns of independent units.
        over: a column whose levels the curve goes over.
        crosses: a value, to find where the curve crosses it.
        natural: the least and the greatest possible number; 0 and 1 for a column of only these.
        level: of the interval, 0 to 1.
        scope: what the number is about, in words.
        arm_column: the column of arms.
    Raises: DataError when the table cannot be used, ClaimError when the quantity cannot be
    estimated on it.
    Example:
        >>> import assay
        >>> rows = {"seed": [0, 1, 2, 3, 4, 5], "fvu": [0.11, 0.12, 0.14, 0.10, 0.13, 0.15]}
        >>> number = assay.estimate(rows, value="fvu", unit="seed")
        >>> print(round(number.estimate, 3), round(number.t_low, 3), round(number.t_high, 3))
        0.125 0.105 0.145
    """
    units, parsed = _names(unit), _parse(value, compared=False)
    whole, source = rows_of.read(frame, arm_column, needed=False)
    if over in units:
        raise ClaimError(f"column {over!r} is a unit; a curve goes over another column")
    question = _question(whole, source, parsed, units, Roles(), arm_column, over, only_named=True)
    rows, main, axes = question.rows, question.main, question.axes
    ends = natural or natural_of(whole, parsed)
    arms, notes = _read(question)
    compute = value_of(parsed, main)
    if independent := len(axes) == 1 and apart.are_apart(arms, units[0]):
        notes += apart.in_words(arms, units[0])
        parsed = apart.by_means(parsed, main)
        compute = strata.put(value_of(parsed, main), units)
    statement = Estimate(
        text=parsed.text,
        value=lambda data: compute(data[main], data),
        units=units,
        statistic=parsed.statistic,
        over=over,
        crosses=crosses,
        natural=ends,
        source=source,
        condition=parsed.text,
    )
    number = estimates.estimate(statement, arms, level, question.scope(scope))
    tied = not over and not independent and rounding.is_tied(number, statement)
    if tied and not natural and (rated := rating_scale.find(question, ())):
        statement, notes = replace(statement, bounds=rated.bounds), [*notes, rated.words]
        number = estimates.estimate(statement, arms, level, question.scope(scope))
    number = structs.replace(number, notes=tuple(_once(notes)))
    if over:
        return number
    if not independent and not statement.bounds:
        keys = {c.key: c.name for c in parsed.columns}
        number = rounding.widen(number, statement, arms, rows, keys)
    shared = _shared(question, statement, number, level)
    return structs.replace(number, notes=(*number.notes, *shared))


def _read(question: Question) -> tuple[Arms, list[str]]:
    """The numbers of the arms that a quantity reads, and what was done to their rows."""
    arms, notes = Arms(), list[str]()
    for arm in question.compared:
        columns = [c for c in question.parsed.columns if (c.arm or question.main) == arm]
        arms[arm], more = question.cells(arm, [replace(c, arm=arm) for c in columns])
        notes += more
    return absent.put(arms, question.compared, question.axes), notes


def _shared(question: Question, statement: Estimate, number: Estimated, level: float) -> list[str]:
    """Notes on an estimate's units: how they may depend on each other, and the interval that allows
    for it, by which a claim about the number would be judged too. Raises: DataError for copies."""

    def cells_of(asked: Question) -> dependence.Cells:
        arms = Others(_read(asked)[0])
        table = tabulate(lambda: statement.value(arms), asked.axes, statement.text, arms)
        return dependence.Cells.of(table, asked.axes, statement.statistic)

    rows = question.read
    check_copies(rows, question.axes, question.columns)
    if min(rows[unit].nunique() for unit in question.axes) < FEWEST:
        return []
    least, greatest = statement.natural or (-math.inf, math.inf)
    groupings = [
        replace(g, limits=Limits(max(g.limits.low, least), min(g.limits.high, greatest)))
        if g.limits.known
        else g
        for g in groupings_of(question, rows, question.labels, cells_of, level)
    ]
    return dependence.lines(
        g
        for g in groupings
        if not is_as_narrow(g, number)
        if g.carries
        or (g.decides and g.counts and (g.limits.low < number.low or number.high < g.limits.high))
    )


def _dealt(question: Question, labelled: Sequence[str]) -> xr.Dataset:
    """The arm under judgement with the labels of these arms dealt out. Raises: ClaimError where
    there is no other arm, too few units first."""
    rows, main = question.rows, question.main
    columns = list(dict.fromkeys(replace(c, arm=None) for c in question.parsed.columns))
    arms = {}
    for arm in labelled:
        with contextlib.suppress(ClaimError):  # an arm that lacks what the claim reads
            arms[arm] = question.cells(arm, [replace(c, arm=arm) for c in columns])[0]
    if len(arms) > 1:
        return deal(arms, main)
    enough = fewest(question.axes)
    few = [(u, n) for u in question.axes if (n := int(rows[u].nunique())) < enough]
    first = "".join(f"too few units: {n} of {enough} {plural(u, enough)}; and " for u, n in few[:1])
    raise ClaimError(
        f"{first}a verdict needs a control, an arm for which the claim should fail: ",
        Argument("control", ("NAME",)),
        f"; the only arm is {main}: add one",
    )


def _suggested_bounds(question: Question, judgement: Judged) -> list[str]:
    """Say how to give the least and the greatest value, where the interval goes beyond those of
    columns whose numbers are all between 0 and 1."""
    columns, verdict = question.columns, judgement.verdict
    ends = range_of(question.parsed, 0.0, 1.0)
    if ends is None or judgement.claim.bounds or judgement.natural:
        return []
    numbers = question.rows[columns].to_numpy(float)
    between = bool(((numbers >= 0) & (numbers <= 1) | np.isnan(numbers)).all())
    beyond = max(ends[0] - verdict.low, verdict.high - ends[1])
    if not between or beyond <= 1e-9:  # of the order of a sum
        return []
    low, high = (f"{x:g}" for x in ends)
    return [
        f"the interval goes beyond {low} and {high}, between which the value lies if "
        f"{' and '.join(columns)} cannot be below 0 or above 1: if so, add bounds=({low}, {high})"
    ]


def _check_arm(arm: str, names: Names, where: str) -> None:
    """Refuse an arm that is not in the table."""
    if arm not in names:
        raise ClaimError(f"no arm {arm!r} in {where}; {nearest(arm, names)}")


def _check_fixed(rows: pd.DataFrame, column: str, taken: Names) -> None:
    """Refuse a column that cannot be fixed: one that is not in the table, or has another role."""
    if column not in rows or column in taken:
        hint = nearest(column, [str(c) for c in rows if c not in taken])
        raise ClaimError(f"no column {column!r}, which is named as fixed; {hint}")


def _refuse_differences(parsed: Parsed, names: Names, where: str) -> None:
    """Refuse an arm whose name reads as a difference."""
    for arm in (a for a in parsed.arms if a not in names):  # relu-again.fvu
        if cut := next((a for a in names if arm in a.split("-")), ""):
            read = next(c.name for c in parsed.columns if c.arm == arm)
            hint = f'did you mean "{cut}".{read}? Quote names with other signs'
            raise ClaimError(f"no arm {arm!r} in {where}; {hint}")
    for arm in names:  # random-probe.acc reads as a difference, too, where there is an arm probe
        read = rf"(?<![\w.\"'-]){re.escape(arm)}\s*\.\s*(\w+)"
        if not arm.isidentifier() and (match := re.search(read, parsed.text)):
            raise ClaimError(
                f"the claim reads {arm}.{match[1]} as a difference; did you mean "
                f'"{arm}".{match[1]}? Quote names with other signs'
            )


def _of_equal_folds(
    statement: Claim, judgement: Judged, arms: Arms, level: float, scope: str, tested: int
) -> Judged:
    """The verdict where all folds have the same number: where this is 1 or 0, by the number of rows
    tested, or a note on what is missing for that."""
    count, (point, *_) = judgement.n[FOLD], judgement.points
    if point not in (0.0, 1.0) or judgement.claim.statistic is not mean:
        return structs.replace(
            judgement,
            price=Price(
                "give each tested row as a unit of its own, such as 1 where it is right and 0 "
                f"where it is wrong: all {count} folds have the same number"
            ),
        )
    if not tested:
        return structs.replace(
            judgement,
            price=Price(
                f"all {count} folds have {point:g}: say with tested=N on how many rows they were "
                "tested together, for an AUROC on how many of the rarer label"
            ),
        )
    by = wrong_at_most(tested, count, level)
    by_trials = replace(statement, rounding=by, bounds=None, natural=None)
    judged = judging.judge(by_trials, arms, level, scope)
    words = f"all {tested:,} trials give {point:g}, so at most {by:.2g} of all do not"
    shared = f"fewer by what folds share: {words}"
    method = f"{100 * level:g}% limit by trials (Clopper and Pearson), {shared}"
    price = Price("measure more examples") if judged.reason == STRADDLES else judged.price
    return structs.replace(judged, method=method, price=price, natural=(0.0, 1.0))


def wrong_at_most(tested: int, folds: int, level: float = 0.95) -> float:
    """Give the share of all rows that may be wrong where none of the tested rows is; these count as
    fewer, since folds share training data.

    Source: Clopper and Pearson (1934); Nadeau and Bengio (2003)
    """
    return float(1 - ((1 - level) / 2) ** (shared_training(FOLD, folds) / tested))


def _untied(judgement: Judged, rounded: bool) -> Price:
    """What decides a claim where units tie, most often because numbers are rounded."""
    price = judgement.verdict.price
    tied, _, advice = price.text.partition(": ") if price else ("", "", "")
    bounds = "name the bounds LOW HIGH of the claim's value (for a difference of shares -1 1)"
    before, named, _ = advice.partition("name the bounds of a unit")
    if price is None or ("for an exact interval" in advice and not named):
        return price or Price("")
    how = [*["give the numbers unrounded,"] * rounded, *[before + bounds] * bool(named)]
    ways = " or ".join(how).rstrip(",") or "judge a number in which they differ"
    return Price(f"{ways}: {tied}{', probably by rounding' * rounded}")


def _under_judgement(parsed: Parsed, arm_names: Names, controls: Names, about: str) -> str:
    """The arm that the claim is said to be about, or the first arm that it names, other than one
    that is called a baseline; without one, main, or the only arm that is no control."""
    if about:
        named = parsed.arms or arm_names
        if about not in named and {*named} <= {*arm_names}:  # else a name in the claim is misspelt
            raise ClaimError(f"the claim names no arm {about!r}; {nearest(about, named)}")
        return about
    candidates = [a for a in arm_names if a not in controls]
    if parsed.arms:
        changed = (a for a in parsed.arms if a.casefold() not in unlike_sides.BASELINE)
        return next(changed, parsed.arms[0])
    if "main" in arm_names:
        return "main"
    if len(candidates) == 1:
        return candidates[0]
    raise ClaimError(
        f"which arm is the {parsed.kind} about? Write arm.column, with one of "
        f"{', '.join(candidates or arm_names)}"
    )


def _check_controls(main_arm: str, parsed: Parsed, replacing: Names, arm_names: Names) -> None:
    """Refuse a control that the claim itself names."""
    for arm in (x for x in replacing if x in (main_arm, *parsed.arms)):
        why = "is about it" if arm == main_arm else f"already compares {main_arm!r} with it"
        rest = [x for x in arm_names if x not in (main_arm, *parsed.arms)][: noted.MOST_NAMED]
        raise ClaimError(
            f"arm {arm!r} is in the claim itself and cannot be its control: the claim {why}; name "
            "an arm that should not satisfy the claim, such as a random circuit or direction of "
            "the same size, or the same training on shuffled data"
            f"{f' (this table also has {joined(rest)})' if rest else ''}"
        )


def _names(names: str | Sequence[str] | None) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names or ())
