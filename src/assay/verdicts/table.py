"""Judge a table: a row for each measurement, a column of arms, columns of units, and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from assay.errors import ClaimError, DataError, nearest
from assay.notes import Note
from assay.verdicts.case import Case
from assay.verdicts.claims import Claim, Names, decide, hypothesis, mains, names
from assay.verdicts.conditions import Condition, parse
from assay.verdicts.doubts import doubts
from assay.verdicts.result import Estimate, Judged, Provenance, Result, doubted, now, versions
from assay.verdicts.rows import NOTHING, Rows, read
from assay.verdicts.rule import LEVEL, Control, Hypothesis, Sample, Verdict, at_once, interval


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
        fixed: columns about whose values alone the claim is; each counts equally in all arms.
        result: columns that the arm causes, as it causes the number that is judged.
        bounds: the least and the greatest number that a unit can have.
        folds: the unit that is a fold of a cross-validation.
        unpaired: whether each arm has units of its own, though they are named alike.
        tries: how many claims were tried, of which this is one.
        level: how often such an interval contains the true number.
        scope: what the verdict is about, in words.
        arm: the column of arms; `arm`, or the `model` of a log.

    Raises:
        DataError: the table cannot be used.
        ClaimError: the claim cannot be judged on it.
    """
    begun, rows = now(), read(table, arm)
    asked = Claim(
        *(claim, claim, about, control, noise, "", found, missed, unit, fixed, bounds, given),
        *(at_once(level, tries), folds),
    )
    conditions = [parse(text) for text in (claim, *asked.given)]
    case = _case(rows, asked, conditions, unpaired)
    arms = mains(asked, case.condition, case.arms)
    case = replace(_drawn(case, arms, asked), results=names(result))
    cases = {of: replace(case, condition=of, bounds=None) for of in conditions[1:]}
    cases[conditions[0]] = case

    def sample(of: Condition, main: str, arm: str) -> Sample:
        return cases[of].sample(case.rows, arm, main)

    h, samples, verdict = decide(asked, case.h.controls, arms, conditions, sample)
    case = replace(case, h=h)
    notes = (*_notes(case, verdict, tries), *doubts(case, verdict))
    judged = Judged(claim, claim, h, doubted(verdict, notes), asked.why, notes)
    made = Provenance(begun, now(), versions(), rows.inputs)
    columns = [*dict.fromkeys(("arm", *case.units, *case.dims, *case.numbers))]
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

    Args:
        table: as of `judge_table`.
        value: what is estimated, a condition without a threshold.
        unit: one or two columns of independent units.
        bounds: the least and the greatest number that a unit can have.
        folds: the unit that is a fold of a cross-validation.
        unpaired: whether each arm has units of its own, though they are named alike.
        level: how often such an interval contains the true number.
        arm: the column of arms; `arm`, or the `model` of a log.

    Raises:
        DataError: the table cannot be used.
        ClaimError: the number cannot be computed on it, or is compared with a threshold.
    """
    asked = Claim("", value, unit=unit, bounds=bounds, level=level, folds=folds)
    condition = parse(value)
    if np.isfinite([condition.low, condition.high]).any():
        raise ClaimError("has-range", f"`{value}` is a claim: judge it, or leave the threshold out")
    case = _case(read(table, arm), asked, [condition], unpaired)
    case = replace(case, h=replace(case.h, of=mains(asked, condition, case.arms)[0]))
    i = interval(case.whole, folds)
    return Estimate(value, i.estimate, *i.limits(level), i.n, level)


def _case(rows: Rows, asked: Claim, conditions: Sequence[Condition], unpaired: bool) -> Case:
    """The claim about the rows. Raises: DataError, ClaimError: they lack what it names."""
    frame, units = rows.frame, tuple(asked.unit)
    frame = frame if "arm" in frame else frame.assign(arm="main")
    for condition in conditions:
        frame = _checked(frame, rows.source, condition, units)
    h = Hypothesis(level=asked.level, folds=asked.folds)
    if unpaired:
        frame = frame.assign(**{units[0]: frame["arm"] + "/" + frame[units[0]].astype(str)})
    about = (units, tuple(asked.fixed), (), rows.levels, asked.bounds)
    return Case(frame, conditions[0], h, *about)


def _checked(
    frame: pd.DataFrame, source: str, condition: Condition, units: tuple[str, ...]
) -> pd.DataFrame:
    """The rows with the numbers of a condition as numbers, if all that it names is there."""
    numbers = dict.fromkeys(c.name for c in condition.columns)
    dims = dict.fromkeys(dim for c in condition.columns for dim, _ in c.levels)
    for name in (*units, *condition.over, *dims, *numbers):
        if name not in frame:
            message = f"no column {name}; {nearest(name, frame.columns)}"
            raise DataError("unknown-column", message, source)
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
    return numbers + 0.0  # -0 is 0


def _refuse(where: pd.Series, code: str, message: str, source: str) -> None:
    """Refuse the first row of which something is so."""
    if where.any():
        raise DataError(code, message, f"{source} row {int(where.to_numpy().argmax()) + 1}")


def _drawn(case: Case, mains: tuple[str, ...], asked: Claim) -> Case:
    """The case with its controls, and with an arm for each draw of them."""
    by_name = [Control(name, (name,), name in asked.noise) for name in asked.why]
    h = replace(hypothesis(asked, case.condition, by_name), of=mains[0])
    case, rows = replace(case, h=h), case.rows
    for k, control in enumerate(by_name):
        labels = _draws(case, mains, control.name)
        rows = rows.assign(arm=rows["arm"].where(rows["arm"] != control.name, labels))
        by_name[k] = replace(control, arms=tuple(dict.fromkeys(labels)))
    return replace(case, rows=rows, h=replace(h, controls=tuple(by_name)))


def _draws(case: Case, mains: tuple[str, ...], control: str) -> pd.Series:
    """The arm of each row of a control: one for each draw where some column alone tells apart
    several rows of a unit, of which the method has one."""
    cell, of = [*case.units, *case.dims], case.rows[case.rows["arm"] == control]
    ours = case.rows[case.rows["arm"].isin(mains)].groupby(["arm", *cell]).size().max()
    times = of.groupby(cell).size().max()
    if times > 1 == ours:
        for name in of.columns.difference([*cell, "arm", *case.numbers, *case.leveled]):
            if of[name].nunique() == times and not of.duplicated([*cell, name]).any():
                return f"{control} " + of[name].astype(str)
    return of["arm"]


def _notes(case: Case, verdict: Verdict, tries: int) -> list[Note]:
    """What was done with the rows, and how many claims were tried."""
    notes, rows, cell = list[Note](), case.levels, ["arm", *case.units, *case.dims]
    if rows.duplicated(cell).any():
        notes.append(Note("averaged", {"n": len(rows), "cells": len(rows.drop_duplicates(cell))}))
    ours = rows[rows["arm"] == case.h.of]
    for unit in case.units:
        of = ours[unit].nunique()
        if verdict.n[unit] < of:
            notes.append(Note("left-out", {"n": of - verdict.n[unit], "of": of, "unit": unit}))
    if tries > 1:
        notes.append(Note("tried", {"n": tries, "level": round(case.h.level, 4)}))
    return notes
