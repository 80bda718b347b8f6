"""Balance: in which other columns of a table the arms differ, as the first table of a paper lists
it: facts that are reported with a verdict that holds, and that may be a cause or a result."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs

from assay.core import shares
from assay.core.digits import told_apart
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST
from assay.core.nouns import joined
from assay.core.reasons import arm_of, draws_counted
from assay.core.results import Judged
from assay.core.rows import Names, is_text
from assay.core.table_columns import DATE, RUNS, SECONDS, is_overlapping, said_or_not
from assay.core.table_question import Question
from assay.core.unlike_sides import signs_of

if TYPE_CHECKING:
    import pandas as pd

BY_CHANCE = 0.01
"""The p-value, divided by the number of columns, below which arms clearly differ in a number."""
LARGE = 1000
"""From here on numbers are written without decimals."""
SPREAD, RELATIVE = 0.5, 0.02
"""The standardised difference of means, and the relative one, from which numbers differ."""
IDENTIFIER = re.compile(r"[0-9a-f]{7,}|.*[/\\].*")
"""A hash or a path."""
FIRST = 5
"""Columns that are named first, before the note counts the others."""

Sized = Iterator[tuple[float, str, str]]
"""How far apart arms are in a column, its name, and the value of each in words."""


def reported(question: Question, judgement: Judged, controls: Names) -> Judged:
    """A verdict that holds, with a note on the other columns in which the arms under comparison
    clearly differ, and one for each control on those in which it differs from all of them and that
    are constant in each. Columns that the verdict already names are left out, and so are those that
    two columns of the claim make, such as the ratio of these in each row."""
    if judgement.outcome != "holds":
        return judgement
    said, q = " ".join((*judgement.notes, judgement.unless)), question
    q = replace(q, rows=q.rows.assign(**said_or_not(q.rows, q.rows.columns.drop("arm"))))
    names = [x for x in map(str, q.rows) if x not in (*RUNS, *q.taken)]
    names = [x for x in names if not re.search(rf"(?<!\w){re.escape(x)}(?!\w)", said)]
    computed = {*_computed(q, names)}
    names = [x for x in names if x not in computed]
    constant = {x: of for x in names if len(of := _constant(q, x)) > 1}
    constant = {x: of for x, of in constant.items() if not _numbers_draws(of, controls)}
    found = [*_by_value(q, constant, controls)]
    found += [*_by_mean(q, names, controls), *_by_share(q, names, controls)]
    notes = []
    if found:
        words = [f"{name} ({values})" for _, name, values in sorted(found, key=lambda x: -x[0])]
        columns, arms = joined(q.columns), joined(q.compared)
        notes.append(f"besides {columns}, {arms} differ in {_listed(words)}")
    listed, same = {name for _, name, _ in found}, dict[str, list[str]]()
    rest = {x: of for x, of in constant.items() if x not in listed}
    for control in controls:
        if words := [*_of_control(q, rest, control)]:
            same.setdefault(_listed(words), []).append(control)
    for differing, those in same.items():
        for name in draws_counted(those):
            notes.append(f"control {name} also differs from {q.main} in {differing}")
    return structs.replace(judgement, notes=(*judgement.notes, *notes))


def _computed(question: Question, names: Sequence[str]) -> Iterator[str]:
    """The columns that are the difference or the ratio of two that the claim reads, or 1 minus
    this."""
    rows = question.read
    pairs = [*permutations((rows[c].to_numpy(float) for c in question.columns), 2)]
    for name in rows[[*names]].select_dtypes("number") if pairs else ():
        x = rows[name].to_numpy(float)
        if any(any(signs_of(of, *pair)) for of in (x, 1 - x) for pair in pairs):
            yield str(name)


def _listed(words: Sequence[str]) -> str:
    more = words[FIRST:]
    others = f", and {len(more)} other{'s' * (len(more) > 1)}: {joined(more)}" if more else ""
    return f"{', '.join(words[:FIRST])}{others}" if more else joined(words)


def _constant(question: Question, name: str) -> pd.Series:
    """The value of each arm that has one in all of its rows; none of a column that only says again
    which arm it is."""
    of_arms = question.rows.groupby("arm", sort=False)[name]
    value = of_arms.first()[of_arms.nunique(dropna=False) == 1].dropna()
    compared = [x for x in question.compared if x in value]
    if all(is_overlapping(_written(value[x]), x) for x in compared):
        return value[:0]
    texts = [str(x).strip() for x in value]
    if not is_text(question.rows[name]):
        is_label = bool(value.between(*SECONDS).all())
    else:
        is_label = all(IDENTIFIER.fullmatch(x) or DATE.match(x) for x in texts)
    return value[:0] if is_label else value


def _numbers_draws(value: pd.Series, controls: Names) -> bool:
    """Whether a column is an index of the draws of a control, from 0 or 1 on."""
    draws = [c for c in controls if " (draw " in c and c in value]
    if is_text(value) or not draws[1:]:
        return False
    numbers = np.sort(value[draws].to_numpy(float))
    return bool((np.diff(numbers) == 1).all() and numbers[0] in (0, 1))


def _by_value(question: Question, constant: Mapping[str, pd.Series], controls: Names) -> Sized:
    """Columns with one value in each arm, apart from what was done to the arm under judgement and
    to a control as well, and is 0 in all others."""
    main, *others = question.compared
    for name, value in constant.items():
        if not {main, *others} <= {*value.index}:
            continue
        shared = any(not _differ(value[c], value[main]) for c in controls if c in value)
        is_dose = shared and all(value[x] == 0 for x in others)
        if not is_dose and any(_differ(value[main], value[x]) for x in others):
            shown = [_written(value[x]) for x in (main, *others)]
            yield math.inf, name, joined(shown) + _in_controls(value, main, controls)


def _by_mean(question: Question, names: Sequence[str], controls: Names) -> Sized:
    """Columns of numbers of which arms have different means over each unit, by the smallest
    standardised difference, without those that number the rows."""
    (main, *others), rows = question.compared, question.read
    vary = rows.groupby("arm")[[*names]].nunique(dropna=False).max() > 1
    numbers = [x for x in map(str, rows[[*names]].select_dtypes("number")) if vary[x]]
    for name in numbers if others else ():
        x, sizes = rows[name], list[float]()
        if x.is_unique and (x % 1 == 0).all() and np.ptp(x.to_numpy()) < 2 * len(x):
            continue
        for unit in question.axes:
            of = x.groupby([rows["arm"], rows[unit]]).mean().dropna()
            each = [of[of.index.get_level_values(0) == a].to_numpy() for a in (main, *others)]
            sizes.append(max(_apart(each[0], y, BY_CHANCE / len(numbers)) for y in each[1:]))
        if min(sizes):
            of_arms = question.rows.groupby("arm")[name].mean()
            means = of_arms[[main, *others]].to_numpy(float)
            large = np.abs(means).max() >= LARGE
            shown = [f"{m:,.0f}" for m in means] if large else told_apart(*means)
            written = "{:,.0f}".format if large else "{:.3g}".format
            yield min(sizes), name, joined(shown) + _in_controls(of_arms, main, controls, written)


def _by_share(question: Question, names: Sequence[str], controls: Names) -> Sized:
    """Columns of a few texts, or of yes and no, of which arms have different shares: the value of
    which these differ most, or yes."""
    rows, arms = question.read, [*question.compared]
    flags = {x: rows[x].astype(str) for x in names if rows[x].dtype.kind == "b"}
    texts = shares.named(rows[["arm", *(x for x in names if is_text(rows[x]))]], ()) | flags
    texts = {x: of for x, of in texts.items() if of.groupby(rows["arm"]).nunique().max() > 1}
    of_arms = shares.Shares(rows, question.axes, (), texts)
    for (name,) in of_arms.differ([(x,) for x in texts]) if arms[1:] else ():
        counts = texts[name].groupby(rows["arm"]).value_counts(normalize=True).unstack(0)
        each = counts.fillna(0.0)[arms].to_numpy(float)
        apart = np.abs(each[:, 0] - each[:, 1:].mean(1))
        place = [*counts.index].index("True") if name in flags else int(apart.argmax())
        value, every = counts.index[place], question.rows[name]
        has = every.astype(str).where(every.notna(), shares.MISSING) == str(value)
        share = has.groupby(question.rows["arm"]).mean()
        whose = joined([f"{share[arm]:.0%}" for arm in arms])
        whose += _in_controls(share, question.main, controls, "{:.0%}".format)
        yield 2 * float(apart[place]), name, f"{value} in {whose}"


def _in_controls(
    value: pd.Series, main: str, controls: Names, written: Callable[[Any], str] | None = None
) -> str:
    """The value that controls have of a column, unless it only says their names: of one that has as
    much as the arm under judgement, or else of all."""
    known = [x for x in controls if x in value and value[x] == value[x]]
    known = [x for x in known if not (is_text(value) and is_overlapping(_written(value[x]), x))]
    known = [x for x in known if not _differ(value[x], value[main])][:1] or known
    if not known:
        return ""
    of = value[known].sort_values()
    each = list(dict.fromkeys(map(written or _written, of)))
    shown = joined(each) if is_text(of) else " to ".join(dict.fromkeys((each[0], each[-1])))
    name, *others = dict.fromkeys(arm_of(x) for x in known)
    return f"; {'controls' if others else name} {shown}"


def _of_control(
    question: Question, constant: Mapping[str, pd.Series], control: str
) -> Iterator[str]:
    """The columns of which a control has one value that none of the arms that are compared has,
    unless the name of the control says so."""
    main = question.main
    for name, value in constant.items():
        if {control, main} <= {*value.index}:
            own = _written(value[control])
            is_own = all(_differ(value[control], value[x]) for x in question.compared if x in value)
            if is_own and not is_overlapping(own, control):
                yield f"{name} ({own} and {_written(value[main])})"


def _differ(x: object, y: object) -> bool:
    """Whether two values differ, numbers by more than a little."""
    if isinstance(x, str) or isinstance(y, str):
        return str(x).strip() != str(y).strip()
    a, b = float(x), float(y)  # type: ignore[arg-type]
    return abs(a - b) > RELATIVE * max(abs(a), abs(b))


def _written(x: object) -> str:
    return f"{x:g}" if isinstance(x, float) else str(x).strip() or "empty"


def _apart(x: np.ndarray, y: np.ndarray, by_chance: float) -> float:
    """The standardised difference of two samples, or 0 if it is small or may be by chance, by
    Welch's t."""
    if min(len(x), len(y)) < FEWEST or not _differ(x.mean(), y.mean()):
        return 0.0
    variances, gap = (x.var(ddof=1), y.var(ddof=1)), abs(float(x.mean() - y.mean()))
    error = math.sqrt(variances[0] / len(x) + variances[1] / len(y))
    if error == 0:
        return math.inf
    p = 2 * float(scipy.special.stdtr(min(len(x), len(y)) - 1, -gap / error))
    size = gap / math.sqrt(sum(variances) / 2)
    return size if p < by_chance and size > SPREAD else 0.0
