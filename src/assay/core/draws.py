"""Draws: a control of which a table has several draws, such as ten random directions, where the
arms that a claim compares have one each: every draw is a control, and their mean is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from assay.core.table_columns import RUNS
from assay.core.table_question import Question, Roles

DRAWN = (*RUNS, "draw", "draw_seed")
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
