"""Judge a table: a row for each measurement, a column of arms, columns of units, and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from assay.errors import ClaimError, DataError, nearest
from assay.notes import Note
from assay.verdicts.case import Case
from assay.verdicts.conditions import Condition, parse
from assay.verdicts.doubts import doubts
from assay.verdicts.result import Estimate, Judged, Provenance, Result, doubted, now, versions
from assay.verdicts.rows import NOTHING, Rows, read
from assay.verdicts.rule import (
    FEWEST,
    LEVEL,
    Control,
    Hypothesis,
    Sample,
    Verdict,
    at_once,
    interval,
    judge,
    judge_arm,
)

Names = str | Sequence[str]


def judge_table(
    table: Any,
    claim: str,
    unit: Names,
    *,
    control: Names | Mapping[str, str] = (),
    about: str = "",
    missed: Names = (),
    found: Names = (),
    noise: Names = (),
    given: Names = (),
    fixed: Names = (),
    result: Names = (),
    bounds: tuple[float, float] | None = None,
    folds: str = "",
    unpaired: bool = False,
    tries: int = 1,
    level: float = LEVEL,
    scope: str = "",
    arm: str = "",
) -> Result:
    """Judge a claim about the rows of a table.

    Args:
        table: a DataFrame, columns by name, or the path of a CSV, TSV, JSON, Parquet file or log.
        claim: a condition, such as "gated.fvu - relu.fvu < -0.02".
        unit: one or two columns of independent units.
        control: arms of which the claim should be false, or a reason for each.
        about: the arm that the controls replace.
        missed: arms that a claim of no effect should be false of.
        found: arms with a planted effect, of which the claim should be true.
        noise: the controls whose draws are independent draws of one distribution.
        given: conditions without which the claim is not decided.
        fixed: columns about whose values alone the claim is.
        result: columns that the arm causes, as it causes the number that is judged.
        bounds: the least and the greatest number that a unit can have.
        folds: the unit that is a fold of a cross-validation.
        unpaired: whether each arm has units of its own, though they are named alike.
        tries: how many claims were tried, of which this is one.
        scope: what the verdict is about, in words.
        arm: the column of arms; `arm`, or the `model` of a log.

    Raises:
        DataError: the table cannot be used.
        ClaimError: the claim cannot be judged on it.
    """
    begun, condition, rows = now(), parse(claim), read(table, arm)
    why = dict(control) if isinstance(control, Mapping) else dict.fromkeys(_names(control), "")
    units, others = _names(unit), (*_names(found), *_names(missed))
    frame = _checked(rows, condition, units, (*why, *others, *filter(None, (about,))))
    fewest = 5 if units == (folds,) else FEWEST
    level = at_once(level, tries)
    h = Hypothesis(condition.low, condition.high, level=level, fewest=fewest, folds=folds)
    h = replace(h, found=_names(found), missed=_names(missed))
    case = Case(
        *(frame, condition, h, units, _names(fixed), _names(result), rows.levels, unpaired, bounds)
    )
    mains = _mains(case, about, bool(why or others))
    tried = [_judge(case, main, tuple(why), _names(noise), _names(given)) for main in mains]
    if len({verdict.outcome for _, _, verdict in tried}) > 1:
        message = "which arm do the controls replace? the outcome depends on it: give about="
        raise ClaimError("which-arm", message + " or ".join(mains), claim)
    case, samples, verdict = tried[0]
    notes = (*_notes(case, verdict, tries), *doubts(case, verdict))
    judged = Judged(claim, condition.text, case.h, doubted(verdict, notes), why, notes)
    made = Provenance(begun, now(), versions(), rows.inputs)
    columns = [*dict.fromkeys(("arm", *units, *case.dims, *case.numbers))]
    shown = case.rows.loc[case.rows["arm"].isin(case.named), columns]
    return Result(claim, (judged,), shown, scope, made, (samples,))


def estimate(
    table: Any,
    value: str,
    unit: Names,
    *,
    bounds: tuple[float, float] | None = None,
    folds: str = "",
    unpaired: bool = False,
    level: float = LEVEL,
    arm: str = "",
) -> Estimate:
    """Estimate a number of a table, such as "mean(new.error) / mean(old.error)", with its interval.

    Args: as those of `judge_table`.

    Raises:
        DataError: the table cannot be used.
        ClaimError: the number cannot be computed on it.
    """
    condition, rows, units = parse(value), read(table, arm), _names(unit)
    frame = _checked(rows, condition, units, ())
    h = Hypothesis(level=level, folds=folds)
    case = Case(frame, condition, h, units, leveled=rows.levels, unpaired=unpaired, bounds=bounds)
    case = replace(case, h=replace(h, of=_mains(case, "", False)[0]))
    i = case.again(case.rows)
    return Estimate(condition.text, i.estimate, *i.limits(level), i.n, level)


def _names(x: Names) -> tuple[str, ...]:
    return (x,) * bool(x) if isinstance(x, str) else tuple(x)


def _checked(
    rows: Rows, condition: Condition, units: tuple[str, ...], named: Sequence[str]
) -> pd.DataFrame:
    """The rows with the numbers of the claim as numbers, if all that it names is there."""
    frame, source = rows.frame, rows.source
    frame = frame if "arm" in frame else frame.assign(arm="main")
    numbers = dict.fromkeys(c.name for c in condition.columns)
    dims = dict.fromkeys(dim for c in condition.columns for dim, _ in c.levels)
    for name in (*units, *condition.over, *dims, *numbers):
        if name not in frame:
            message = f"no column {name}; {nearest(name, frame.columns)}"
            raise DataError("unknown-column", message, source)
    arms = set(frame["arm"])
    for name in (*condition.arms, *named):
        if name not in arms:
            raise DataError("unknown-arm", f"no arm {name}; {nearest(name, arms)}", source)
    if not 1 <= len(set(units)) == len(units) <= 2:
        raise ClaimError("units", "a claim has one kind of unit, or two that are crossed")
    for name in (*units, *condition.over, *dims):
        known = frame.groupby("arm")[name].transform("count") > 0
        gone = frame[name].isna() & (known if name not in units else True)
        _refuse(gone, "no-label", f"its {name} is empty", source)
    frame = frame.assign(**{u: frame[u].astype(str) for u in units if frame[u].dtype == object})
    return frame.assign(**{name: _numbers(frame[name], source) for name in numbers})


def _numbers(x: pd.Series, source: str) -> pd.Series:
    """A column as numbers: truth values as 0 and 1, and what is missing as NaN."""
    known = x.astype(object).where(x.notna() & ~x.isin(NOTHING), None)
    numbers = pd.to_numeric(known, errors="coerce").astype(float)
    wrong = (numbers.isna() & known.notna()) | np.isinf(numbers)
    _refuse(wrong, "not-a-number", f"its {x.name} is no number; leave missing ones empty", source)
    return numbers


def _refuse(where: pd.Series, code: str, message: str, source: str) -> None:
    """Refuse the first row of which something is so."""
    if where.any():
        raise DataError(code, message, f"{source} row {int(where.to_numpy().argmax()) + 1}")


def _mains(case: Case, about: str, replaced: bool) -> tuple[str, ...]:
    """The arms that the claim may be about: those that it names, or the only one."""
    arms = case.condition.arms or (("main",) if "main" in case.arms else case.arms)
    if about and (about in arms or not case.condition.arms):
        return (about,)
    if about or (len(arms) > 1 and not case.condition.arms):
        message = f"which arm is the claim about? {nearest(about, arms)}"
        raise ClaimError("which-arm", message, case.condition.text)
    return arms if replaced else arms[:1]


def _judge(
    case: Case, main: str, controls: tuple[str, ...], noise: tuple[str, ...], given: tuple[str, ...]
) -> tuple[Case, dict[str, Sample], Verdict]:
    """Judge a claim as one about this arm."""
    draws = {control: _draws(case, main, control) for control in controls}
    rows = case.rows
    for control, labels in draws.items():
        rows = rows.assign(arm=rows["arm"].where(rows["arm"] != control, labels))
    by_name = tuple(
        Control(name, tuple(dict.fromkeys(labels)), name in noise) for name, labels in draws.items()
    )
    case = replace(case, rows=rows, h=replace(case.h, of=main, controls=by_name))
    others = (*(arm for control in by_name for arm in control.arms), *case.h.found, *case.h.missed)
    samples = {main: case.whole, **{arm: case.sample(case.rows, arm) for arm in others}}
    h = replace(case.h, empty=_empty(case))
    unmet = [text for text in given if not _is_so(case, text)]
    return replace(case, h=h), samples, judge(h, samples, unmet)


def _draws(case: Case, main: str, control: str) -> pd.Series:
    """The arm of each row of a control: one for each draw where some column alone tells apart
    several rows of a unit, of which the method has one."""
    cell, of = [*case.units, *case.dims], case.rows[case.rows["arm"] == control]
    times = of.groupby(cell).size().max()
    if times > 1 == case.rows[case.rows["arm"] == main].groupby(cell).size().max():
        for name in of.columns.difference([*cell, "arm", *case.numbers, *case.leveled]):
            if of[name].nunique() == times and not of.duplicated([*cell, name]).any():
                return f"{control} " + of[name].astype(str)
    return of["arm"]


def _empty(case: Case) -> float:
    """The number of no effect: that of a comparison of an arm with itself, such as 1 of a ratio;
    else 0, as of a correlation."""
    if len(case.compared) != 2 or case.whole.ends:
        return 0.0
    try:
        alike = interval(case.sample(case.rows, case.compared[1])).estimate
    except ClaimError:
        return 0.0
    return round(alike, 12) if math.isfinite(alike) else 0.0


def _is_so(case: Case, text: str) -> bool:
    """Whether a precondition holds."""
    condition = parse(text)
    rows = _checked(Rows(case.rows, "the table"), condition, case.units, ())
    h = Hypothesis(condition.low, condition.high, case.main, fewest=case.h.fewest)
    of = replace(case, rows=rows, condition=condition, h=h)
    return judge_arm(h, of.whole, ()).outcome == "holds"


def _notes(case: Case, verdict: Verdict, tries: int) -> list[Note]:
    """What was done with the rows, and how many claims were tried."""
    notes, rows, cell = list[Note](), case.levels, ["arm", *case.units, *case.dims]
    if rows.duplicated(cell).any():
        notes.append(Note("averaged", {"n": len(rows), "cells": len(rows.drop_duplicates(cell))}))
    ours = rows[rows["arm"] == case.main]
    for unit in case.units:
        of = ours[unit].nunique()
        if verdict.n[unit] < of:
            notes.append(Note("left-out", {"n": of - verdict.n[unit], "of": of, "unit": unit}))
    if tries > 1:
        notes.append(Note("tried", {"n": tries, "level": round(case.h.level, 4)}))
    return notes
