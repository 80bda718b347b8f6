"""Unmoved: arms that have the numbers of another arm or of the unchanged model, in every unit or in
many, as where a change does not reach a read or where the latent that it sets is off."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from assay.ask import comparing
from assay.ask.measure import interventions, reads
from assay.ask.measure.tasks import Task
from assay.ask.model_study import ModelStudy
from assay.ask.notes import Asking
from assay.ask.part import Part
from assay.core.columns import Column
from assay.core.copies import is_coarse
from assay.core.heavy import xr
from assay.core.nouns import plural

REACHED = "does the change reach them, and is it different from what is there already?"
"""What a note asks about units that a change leaves as they are."""
ROUNDED = 5e-6
"""By what share of the largest one numbers differ that are equal but for rounding."""
NEAR = 0.01
"""By what share of themselves they differ at most, such as probabilities close to 0."""
MANY = 0.25
"""The share of units from which on it is reported."""
Arms = Mapping[str, "xr.Dataset"]


def lines(questions: ModelStudy, askings: Iterable[Asking], arms: Arms) -> Iterator[str]:
    """Say which arms that a statement reads have the numbers of another arm that it reads, or else
    of the model without the change."""
    for asking in askings:
        columns = [replace(c, arm=c.arm or asking.main) for c in asking.read.columns]
        columns = [c for c in columns if c.name in arms.get(str(c.arm), ())]
        pairs: list[tuple[Column, Column | None]] = [
            (a, b) if a.arm in questions.changed_arms else (b, a)
            for a, b in itertools.combinations(columns, 2)
            if a.name == b.name and a.arm != b.arm and {a.arm, b.arm} & questions.changed_arms
        ]
        paired = {c for pair in pairs for c in pair}
        pairs += [(c, None) for c in columns if c not in paired]
        words = (_compared(questions, asking, a, b, arms) for a, b in pairs)
        yield from dict.fromkeys(f"{asking.where}: {x}" for x in words if x)


def _compared(
    questions: ModelStudy, asking: Asking, a: Column, b: Column | None, arms: Arms
) -> str:
    """What is to be said of the numbers of a changed arm next to those of another one; "" where
    they differ in most units."""
    part = questions.by_label.get(str(a.arm))
    x = _taken(a, arms)
    y, other = (None, "") if b is None else (_taken(b, arms), f"in {b.plain}")
    if b is None and part is not None and isinstance(part.task, Task) and part.task.intervention:
        y, other = _without(questions, part, a, arms)
    if y is None:
        return ""
    off, most = abs(x - y), float(abs(x).max())
    how = " but for rounding" if float(off.max(skipna=False)) else ""
    if b is not None and float(off.max(skipna=False)) <= ROUNDED * most:
        return (
            f"{a.plain} and {b.plain} are equal in every unit{how}: {a.arm} changes nothing in "
            "this read"
        )
    numbers = x.values[np.isfinite(x.values)]
    units = [u for u in asking.units if u in off.dims]
    if not units or not numbers.any() or (numbers % 1 == 0).all() or is_coarse(numbers):
        return ""
    limit = ROUNDED * (most if other.startswith("in ") else min(most, 1.0))
    near = off <= NEAR * abs(x) if other.startswith("in ") else True
    same = ((off == 0) | (near & (off <= limit))).all([d for d in off.dims if d not in units])
    count, n = int(same.sum()), same.size
    if not MANY * n <= count < n:
        return ""
    effect = float((x - y).where(~same).mean())
    how = " but for rounding" if float(off.where(same).max()) else ""
    return (
        f"{count} of {n} {plural(units[0], n)} have the same number in {a.plain} as {other}{how}"
        f"{_why(part)}; in the others, the difference is {effect:.2g}"
    )


def _taken(column: Column, arms: Arms) -> xr.DataArray:
    """The numbers of a column at the levels that it names."""
    x = arms[str(column.arm)][column.name]
    single = replace(column, over=(), how="mean", beyond=None, ranges=()).within(
        [*map(str, x.dims)]
    )
    return single.take(x, [*map(str, x.dims)])


def _without(
    questions: ModelStudy, part: Part, column: Column, arms: Arms
) -> tuple[xr.DataArray | None, str]:
    """The numbers of a column without the change of its arm: one number for a comparison with the
    unchanged model; None where no arm has them."""
    if part.task.is_difference:
        return None, ""
    for read in part.task.reads:
        if read.name == column.name and (value := reads.same(read)) is not None:
            return xr.DataArray(value), "without a change"
    base = replace(column, arm=comparing.unchanged_model(questions, part.task))
    if base.name not in arms.get(str(base.arm), ()):
        return None, ""
    return _taken(base, arms), f"in {base.plain}"


def _why(part: Part | None) -> str:
    """When a change leaves a number as it is: a latent that is set to 0 is off already."""
    table = part.task.intervention if part is not None else None
    if table is None or not table.clamp or table.value:
        return f": {REACHED}"
    latents = interventions.latents_of(table)
    verb = "is" if len(latents) == 1 else "are"
    named = f"{plural('latent', len(latents))} {', '.join(map(str, latents))}" if latents else ""
    return f", as where {named or 'the chosen latents'} {verb} off"
