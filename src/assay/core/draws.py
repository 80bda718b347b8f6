"""Draws: a control of which a table has several draws, such as ten random directions, where the
arms that a claim compares have one each: every draw is a control, and their mean is none; and one
that was trained with seeds of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from assay.core.nouns import plural
from assay.core.rows import Names
from assay.core.table_columns import DRAWS, RUNS
from assay.core.table_question import Question, Roles

if TYPE_CHECKING:
    import pandas as pd

DRAWN = (*RUNS, *DRAWS)
"""Columns that number the draws of a control, or its runs."""


def apart(
    question: Question, roles: Roles, near: Mapping[str, str]
) -> tuple[Question, Roles, dict[str, str]]:
    """The question, the roles and the alternative explanations with each draw of a control as an
    arm of its own, if all arms that are compared have one draw at most, and it has several."""
    rows, why = question.rows, dict(near)
    asked = (
        *question.axes,
        *question.fixed,
        *(d for c in question.parsed.columns for d in c.named),
    )
    for name in (x for x in DRAWN if x in rows and x not in asked):
        draws = rows.groupby("arm")[name].nunique()
        if draws[[*question.compared]].max() > 1:
            continue
        for control in (c for c in roles.controls if draws[c] > 1):
            own = rows["arm"] == control
            units = rows.loc[own, [*question.axes, name]].groupby(name, dropna=False).nunique()
            if (units < rows.loc[own, [*question.axes]].nunique()).any(axis=None):
                continue  # each has units of its own
            each = [*dict.fromkeys(rows.loc[own, name])]
            names = {x: f"{control} (draw {k} of {len(each)})" for k, x in enumerate(each, 1)}
            rows = rows.assign(arm=np.where(own, rows[name].map(names), rows["arm"]))
            others = (c for c in roles.controls if c != control)
            roles = replace(roles, controls=(*names.values(), *others))
            why |= dict.fromkeys(names.values(), why.pop(control)) if control in why else {}
    known = tuple(str(a) for a in rows["arm"].unique())
    return replace(question, rows=rows, known=known), roles, why


def paired(question: Question, controls: Names) -> tuple[Question, list[str]]:
    """The question in which each control has the runs of the arms that are compared, in their order
    and as many as both have, if it has none in common with them, and a note on each. The runs of
    a control are independent of the others, so that any pairing of them is as good."""
    rows, notes = question.rows, list[str]()
    for unit in (x for x in question.axes if {*RUNS} & {*re.split(r"[\W_\d]+", x.casefold())}):
        levels = {arm: [*np.unique(of[unit])] for arm, of in rows.groupby("arm")}
        each = [levels[arm] for arm in question.compared]
        common = sorted(set.intersection(*map(set, each)))
        if not question.compared[1:] or not common:
            continue
        for control in (c for c in controls if not {*levels[c]} & {x for of in each for x in of}):
            own = rows["arm"] == control
            names = dict(zip(levels[control], common, strict=False))
            runs = rows[unit].where(~own, rows[unit].map(names))
            rows = rows.assign(**{unit: runs})[~own | runs.notna()]
            rows = _completed(rows, control, unit, common[len(names) :], question.columns)
            rows = rows.assign(**{unit: rows[unit].astype(question.rows[unit].dtype)})
            some = f", {len(names)} of them" if len(levels[control]) != len(common) else ""
            notes.append(
                f"control {control} has {plural(unit, 2)} of its own: they are paired in order"
                f"{some} with those of the other arms"
            )
    return replace(question, rows=rows), notes


def _completed(
    rows: pd.DataFrame, control: str, unit: str, missing: Sequence, columns: Sequence[str]
) -> pd.DataFrame:
    """The rows with rows without a number for the runs that a control lacks."""
    import pandas as pd

    first = rows[rows["arm"] == control]
    first = first[first[unit] == first[unit].iloc[0]]
    more = (first.assign(**{unit: x, **dict.fromkeys(columns, np.nan)}) for x in missing)
    return pd.concat([rows, *more], ignore_index=True)
