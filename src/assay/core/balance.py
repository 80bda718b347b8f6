"""Balance: in which other columns of a table the arms differ, as the first table of a paper lists
it: facts that are reported with a verdict that holds, and that may be a cause or a result."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import structs

from assay.core import shares
from assay.core.digits import told_apart
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST
from assay.core.nouns import joined
from assay.core.results import Judged
from assay.core.rows import Names, is_text
from assay.core.table_columns import DATE, RUNS, SECONDS, is_overlapping
from assay.core.table_question import Question

if TYPE_CHECKING:
    import pandas as pd

BY_CHANCE = 0.01
"""The p-value, divided by the number of columns, below which arms clearly differ in a number."""
SPREAD, RELATIVE = 0.5, 0.02
"""The standardised difference of means, and the relative one, from which numbers differ."""
IDENTIFIER = re.compile(r"[0-9a-f]{7,}|.*[/\\].*")
"""A hash or a path."""
FIRST = 5
"""Columns that are named at first; what parts them from the others."""
OTHERS = "; also in "


class _Difference(NamedTuple):
    """How the arms differ in a column."""

    size: float
    """The standardised difference, without end where each arm has one value."""
    words: str


def reported(question: Question, judgement: Judged, controls: Names) -> Judged:
    """A verdict that holds, with a note on the other columns in which the arms under comparison
    clearly differ, and one for each control on those in which it differs from the arm in whose
    place it is and that are constant in each. Columns that the verdict already names are left
    out."""
    if judgement.outcome != "holds":
        return judgement
    said = " ".join((*judgement.notes, judgement.unless))
    table = _Table(question, tuple(controls), said)
    notes = []
    if found := [x.words for x in sorted(table.of_arms(), key=lambda x: -x.size)]:
        columns, arms = joined(question.columns), joined(question.compared)
        notes.append(f"besides {columns}, {arms} differ in {_listed(found)}")
    for control in controls:
        if found := [x.words for x in table.of_control(control)]:
            notes.append(f"control {control} also differs from {question.main} in {_listed(found)}")
    return structs.replace(judgement, notes=(*judgement.notes, *notes))


def _listed(found: Sequence[str]) -> str:
    more = OTHERS + joined(found[FIRST:]) if found[FIRST:] else ""
    return joined(found[:FIRST]) + more


@dataclass(frozen=True)
class _Table:
    """The columns of a table that have no role in a question."""

    question: Question
    controls: Names
    said: str
    """What the verdict already says."""

    @cached_property
    def names(self) -> list[str]:
        q = self.question
        taken = ("arm", *RUNS, *q.axes, *q.labels, *q.fixed, *q.columns)
        names = (str(x) for x in q.rows.columns if x not in taken)
        return [x for x in names if not re.search(rf"(?<!\w){re.escape(x)}(?!\w)", self.said)]

    @cached_property
    def constant(self) -> dict[str, pd.Series]:
        """The columns that have one value in each of several arms, with the value of each of these
        arms, without those that only say again which arm it is."""
        found, by_arm = {}, self.question.rows.groupby("arm", sort=False)
        for name in self.names:
            value = by_arm[name].first()[by_arm[name].nunique(dropna=False) == 1].dropna()
            if len(value) > 1 and not self._is_label(name, value):
                found[name] = value
        return found

    def _is_label(self, name: str, value: pd.Series) -> bool:
        if not is_text(self.question.rows[name]):
            in_names = all(is_overlapping(f"{x:g}", str(arm)) for arm, x in value.items())
            return in_names or bool(value.between(*SECONDS).all())
        texts = [str(x).strip().casefold() for x in value]
        if all(IDENTIFIER.fullmatch(x) or DATE.match(x) for x in texts):
            return True
        named = (is_overlapping(str(x), str(arm)) for arm, x in value.items())
        return len({*texts}) == len(self.question.known) and all(named)

    def of_arms(self) -> Iterator[_Difference]:
        """The columns in which the arms that are compared differ."""
        (main, *others), rows = self.question.compared, self.question.read
        if not others:
            return
        for name in (x for x in self.names if x in self.constant):
            value = self.constant[name]
            if not {main, *others} <= {*value.index} or self._is_dose(name):
                continue
            if any(_differ(value[main], value[x]) for x in others):
                shown = joined([_written(value[x]) for x in (main, *others)])
                yield _Difference(math.inf, f"{name} ({shown})")
        names = [x for x in self.names if rows.groupby("arm")[x].nunique(dropna=False).max() > 1]
        for name in names:
            if not is_text(rows[name]) and (size := self._standardised(name, len(names))):
                means = rows.groupby("arm")[name].mean()[[main, *others]].to_numpy(float)
                shown = [f"{x:,.0f}" for x in means] if means.max() >= 1000 else told_apart(*means)
                yield _Difference(size, f"{name} ({joined(shown)})")
        texts = {x: of for x, of in shares.named(rows, ()).items() if x in names}
        texts = {x: of for x, of in texts.items() if is_text(rows[x])}
        for (name,) in shares.Shares(rows, self.question.axes, (), texts).differ(
            [(x,) for x in texts]
        ):
            yield self._of_shares(name, texts[name])

    def _is_dose(self, name: str) -> bool:
        """Whether a column is what was done to the arm, and to a control as well: 0 in every other
        arm that is compared."""
        main, *others = self.question.compared
        value = self.constant[name]
        same = any(not _differ(value[c], value[main]) for c in self.controls if c in value)
        return same and all(value[x] == 0 for x in others)

    def _standardised(self, name: str, among: int) -> float:
        """The least standardised difference between the means of units of two arms; 0 if they may
        differ by chance."""
        (main, *others), rows, sizes = self.question.compared, self.question.read, list[float]()
        x = rows[name]
        if x.is_unique and (x % 1 == 0).all() and np.ptp(x.to_numpy()) < 2 * len(x):
            return 0.0  # it numbers the rows
        for unit in self.question.axes:
            of = x.astype(float).groupby([rows["arm"], rows[unit]]).mean().dropna()
            each = [of[arm].to_numpy() if arm in of.index else of[:0] for arm in (main, *others)]
            sizes.append(max(_apart(each[0], y, BY_CHANCE / among) for y in each[1:]))
        return min(sizes)

    def _of_shares(self, name: str, of: pd.Series) -> _Difference:
        """How arms have other shares of the value of which these differ most."""
        arms = [*self.question.compared]
        counts = of.groupby(self.question.read["arm"]).value_counts(normalize=True).unstack(0)
        each = counts.fillna(0.0)[arms]
        apart = each[arms[0]] - each[arms[1:]].mean(axis=1)
        value = apart.abs().idxmax()
        shown = joined([f"{100 * x:.0f}%" for x in each.loc[value]])
        return _Difference(abs(apart[value]) * 2, f"{name} ({value} in {shown})")

    def of_control(self, control: str) -> Iterator[_Difference]:
        """The columns of which a control has one value that none of the arms that are compared has,
        unless the name of the control says so."""
        compared = self.question.compared
        for name, value in self.constant.items():
            if not {control, compared[0]} <= {*value.index}:
                continue
            own, judged = _written(value[control]), _written(value[compared[0]])
            is_own = all(_differ(value[control], value[x]) for x in compared if x in value)
            if is_own and not is_overlapping(own, control):
                yield _Difference(math.inf, f"{name} ({own} and {judged})")


def _differ(x: object, y: object) -> bool:
    """Whether two values differ, numbers by more than a little."""
    if isinstance(x, str) or isinstance(y, str):
        return str(x).strip() != str(y).strip()
    a, b = float(x), float(y)  # type: ignore[arg-type]
    return abs(a - b) > RELATIVE * max(abs(a), abs(b))


def _written(x: object) -> str:
    return f"{x:g}" if isinstance(x, float | int) and not isinstance(x, bool) else str(x).strip()


def _apart(x: np.ndarray, y: np.ndarray, by_chance: float) -> float:
    """The standardised difference of two samples, or 0 if it is small or may be by chance, by
    Welch's t."""
    if min(len(x), len(y)) < FEWEST or not _differ(x.mean(), y.mean()):
        return 0.0
    spread, error = (x.var(ddof=1) + y.var(ddof=1)) / 2, x.var(ddof=1) / len(x)
    error += y.var(ddof=1) / len(y)
    gap = abs(float(x.mean() - y.mean()))
    if error == 0:
        return math.inf
    p = 2 * float(scipy.special.stdtr(min(len(x), len(y)) - 1, -gap / math.sqrt(error)))
    size = gap / math.sqrt(spread)
    return size if p < by_chance and size > SPREAD else 0.0
