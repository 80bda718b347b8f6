"""Two kinds: what tells the units apart that form two clusters: a column, such as the state of a
run that crashed, or that an arm was not changed in some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from assay.core import judging, unchanged
from assay.core.heavy import xr
from assay.core.nouns import joined, plural
from assay.core.outlying_units import CLUSTERS, find_outliers
from assay.core.reasons import STRADDLES
from assay.core.results import Judged, Price
from assay.core.rows import is_text
from assay.core.table_question import Question

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 6
"""Units up to which each is named."""


def explained(
    question: Question, judgement: Judged, arms: Mapping[str, xr.Dataset], level: float
) -> Judged:
    """The verdict whose warning of two clusters says what tells them apart, if anything does, and
    which then does not ask for more units."""
    said = [x for x in judgement.warning.split("; ") if CLUSTERS in x]
    if not said:
        return judgement
    claim = judgement.claim
    unit = claim.units[0]
    points = judging.standing(claim, dict(arms), level)[0].points
    levels = np.asarray(judging.numbers(claim, dict(arms)).levels[unit])
    if len(points) != len(levels):
        return judgement
    few = levels[np.isin(points, find_outliers(points))]
    for _, units in unchanged.of_main(question, arms):
        if units.names == [unit] and {*units} in ({*few}, {*levels} - {*few}):
            return _saying(judgement, said[0], "")
    causes = [*_columns(question, unit, few, levels)]
    if not causes:
        return judgement
    several = plural(unit, len(few))
    which = f" ({joined([*few])})" if len(few) <= SHOWN else ""
    first, _, _ = said[0].partition(":")
    words = f"{first}: {joined(causes[:3])} in just these {len(few)} {several}{which}"
    judgement = _saying(judgement, said[0], words)
    if judgement.reason != STRADDLES:
        return judgement
    price = Price(f"measure these {len(few)} {several} anew, or leave them out of all arms")
    return structs.replace(judgement, price=price)


def _saying(judgement: Judged, said: str, words: str) -> Judged:
    parts = (words if x == said else x for x in judgement.warning.split("; "))
    return structs.replace(judgement, warning="; ".join(filter(None, parts)))


def _columns(question: Question, unit: str, few: np.ndarray, levels: np.ndarray) -> Iterator[str]:
    """The columns of some arms, and not of all, that have one value in all units but a few, and
    another in all rows of these."""
    rows = question.read
    rows = rows[rows[unit].isin(levels)]
    for name in (str(x) for x in rows if x not in question.taken):
        differ = [arm for arm in question.compared if _parts(rows, arm, name, unit, few)]
        if not differ or len(differ) == len(question.compared):
            continue  # what says the same of all arms is a kind of unit, which can be held fixed
        own = rows[rows["arm"].isin(differ) & rows[unit].isin(few)][name]
        whose = f" of {joined(differ)}"
        if own.nunique(dropna=False) == 1 or is_text(own):
            values = [str(x).strip() or "empty" for x in own.unique()[:3]]
            yield f"{name}{whose} is {' or '.join(values)}"
        else:
            yield f"{name}{whose} is {own.min():.5g} to {own.max():.5g}"


def _parts(rows: pd.DataFrame, arm: str, name: str, unit: str, few: np.ndarray) -> bool:
    """Whether the rows of an arm have one value of a column in all units but the few, and never in
    these."""
    own = rows[rows["arm"] == arm]
    is_few = own[unit].isin(few)
    usual = own.loc[~is_few, name]
    if not is_few.any() or usual.nunique(dropna=False) != 1:
        return False
    first = usual.iloc[0]
    within = own.loc[is_few, name]
    return not (within.isna() if first != first else within == first).any()
