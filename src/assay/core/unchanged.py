"""Unchanged: an arm or a control that has exactly the numbers of another arm in some units and
others in the rest, as where a hook did not run: a control rules nothing out there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import structs

from assay.core import digits, judging
from assay.core.copies import is_coarse
from assay.core.errors import ClaimError
from assay.core.heavy import xr
from assay.core.nouns import plural
from assay.core.results import Judged, Price, with_note
from assay.core.rounding import grid
from assay.core.rows import Names
from assay.core.table_columns import SHARES, words_in
from assay.core.table_question import Question, Roles, asked_again

if TYPE_CHECKING:
    import pandas as pd

FEWEST, LEAST = 4, 0.1
"""Units, and the share of all, from which numbers are not equal by chance."""
LEVELS, STEPS = 1_000, 10
"""So many steps at least lie between the least and the greatest of numbers that are not coarse; so
many apart at least are those of units that were changed."""
OTHERWISE, OWN = 0.05, 0.8
"""The share of the units that were changed of which numbers may be nearer; the share of equal
numbers, at least, that occur once."""
HALF = 0.5
"""The share of its units from which on a control that was not changed in these is none."""
REACHED = "does the change reach them, and is it different from what is there already?"
"""What a note asks about units that a change leaves as they are."""
DENOMINATORS = np.arange(1, 2_001)
"""Of shares, such as those of answers that are right, with which coarse numbers are made."""


class Unchanged(NamedTuple):
    """The units in which an arm has the numbers of another."""

    arm: str
    other: str
    units: pd.Index
    """One or two levels of each."""
    places: str
    """How many these are of how many, in words."""
    share: float


def doubted(
    question: Question,
    judgement: Judged,
    arms: Mapping[str, xr.Dataset],
    independent: bool,
    level: float,
) -> Judged:
    """The verdict with a note on arms and controls that have the numbers of another arm in some
    units, and with that reserve if the outcome in the others would be another, or if a control has
    them in half of its units."""
    for found in _found(question, [*judgement.controls], arms) if not independent else ():
        arm, where = found.arm, f"in {found.places}"
        same, price, is_control = found.other, judgement.price, arm in judgement.controls
        outcome, then = _in_the_others(question, judgement, found, level)
        note = f"{where}, {arm} has exactly the number of {same}: was it changed there?"
        if is_control:
            of = f"exactly the number of {same} there"
            note = f"control {arm} rules nothing out {where}: it has {of}; was it changed?"
            in_doubt = judgement.outcome == "holds" and (outcome != "fails" or found.share >= HALF)
        else:
            in_doubt = judgement.outcome in ("holds", "fails") and outcome != judgement.outcome
            if judgement.outcome == "undecided":
                price = Price(f"change {arm} {where} as well, or leave these out of all arms")
        unless = f"{arm} was not changed {where}" * in_doubt
        judgement = with_note(structs.replace(judgement, price=price), f"{note} {then}", unless)
    return judgement


def of_main(question: Question, arms: Mapping[str, xr.Dataset]) -> Iterator[tuple[str, pd.Index]]:
    """The units in which the arm under judgement has the numbers of another, and which one."""
    for found in _found(question, (), arms):
        yield found.other, found.units


def _found(
    question: Question, controls: Names | Sequence[str], arms: Mapping[str, xr.Dataset]
) -> Iterator[Unchanged]:
    """The first arm of whose numbers each has some, of those that the claim compares with, or else
    of all that are no controls."""
    if any(SHARES & words_in(name) for name in question.columns):
        return
    main = question.main
    rest = question.compared[1:] or [x for x in question.others if x not in controls]
    for arm in (x for x in (main, *controls) if x in arms):
        every = (_of_two(question, arm, x, arms) for x in rest if x in arms)
        if first := next(filter(None, every), None):
            yield first


def _of_two(
    question: Question, arm: str, other: str, arms: Mapping[str, xr.Dataset]
) -> Unchanged | None:
    """The units in which one arm has the numbers of another; None where there are too few of them,
    or where chance may make numbers equal."""
    if {*arms[arm]} != {*arms[other]}:
        return None
    a, b = xr.align(arms[arm], arms[other], join="inner")
    each = list[tuple[xr.DataArray, xr.DataArray, xr.DataArray]]()
    for key in a:
        x, y = (z.broadcast_like(a[key]).transpose(*a[key].dims) for z in (a[key], b[key]))
        off = abs(x - y)
        same = off <= 1e-12 * abs(x)
        numbers = np.concatenate([x.values.ravel(), y.values.ravel()])
        if _is_by_chance(x.values[same.values], numbers[np.isfinite(numbers)]):
            return None
        each.append((off.notnull(), same, ~same & (off <= STEPS * grid(numbers))))
    if not each:
        return None
    there, equal = (reduce(and_, x) for x in [*zip(*each, strict=True)][:2])
    near = reduce(or_, [x for _, _, x in each])
    axes = [*question.axes]
    rest = [d for d in equal.dims if d not in axes]
    equal, there, near = equal.all(rest), there.all(rest), near.any(rest)
    count, n = int(equal.sum()), int(there.sum())
    changed = n - count
    if count < max(FEWEST, LEAST * n) or changed < 1 or int(near.sum()) > OTHERWISE * changed:
        return None
    for unit in axes:  # all cells of some levels of one of two units
        others = [x for x in axes if x != unit]
        whole = equal.all(others)
        if int(equal.where(whole, False).sum()) == count:
            levels, total = whole[unit].to_index()[whole.values], whole.size
            places = f"{len(levels)} of {total} {plural(unit, total)}"
            return Unchanged(arm, other, levels, places, len(levels) / total)
    stacked = equal.stack(cell=axes)
    cells = stacked["cell"].to_index()[stacked.values]
    return Unchanged(arm, other, cells, f"{count} of {n} cells", count / n)


def _is_by_chance(equal: np.ndarray, numbers: np.ndarray) -> bool:
    """Whether numbers are so coarse that some of two arms are equal, such as ratings and shares."""
    if not len(equal) or len(np.unique(equal)) < OWN * len(equal):
        return True
    step, span = grid(numbers), float(np.ptp(numbers))
    if is_coarse(numbers) or span < LEVELS * step:
        return True
    counts = DENOMINATORS * equal[:, None]
    is_share = np.abs(counts - np.round(counts)) <= 1e-9 * DENOMINATORS
    return not step and bool(is_share.any(1).mean() > OWN)


def _in_the_others(
    question: Question, judgement: Judged, found: Unchanged, level: float
) -> tuple[str, str]:
    """The outcome of the claim about an arm in the units in which it was changed, and its number
    there, in words."""
    rows, names = question.rows, [*found.units.names]
    here = rows.set_index(names).index.isin(found.units)
    asked = replace(question, rows=rows[~here])
    roles = Roles(controls=(found.arm,) if found.arm != question.main else ())
    try:
        i = asked_again(judgement.claim.about(found.arm), asked, level, roles=roles)
    except ClaimError:
        return "undecided", "The others are too few for an interval"
    shown = digits.in_line(i.estimate, i.low, i.high)
    outcome = judging.outcome_of(judgement.claim, i.low, i.high)
    return outcome, f"In the others, the number is {shown}"
