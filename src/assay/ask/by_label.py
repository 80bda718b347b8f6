"""By label: a claim's number at each of the few right answers or labels of its prompts, and what to
write where the mean describes none of them; and how many rows a file needs for so many prompts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from assay.ask.measure import controls
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.measure.prompts import SLOT
from assay.ask.measure.tasks import Task
from assay.ask.model_study import ModelStudy
from assay.ask.notes import Asking
from assay.core import judging
from assay.core.dependence import MOST_ANSWERS, Cells, Grouping, by_answer, is_of_none
from assay.core.nouns import plural
from assay.core.reasons import STRADDLES
from assay.core.results import Judged, Price
from assay.core.wordings import numbered

if TYPE_CHECKING:
    from assay.core.heavy import xr

Arms = Mapping[str, "xr.Dataset"]


def splits(
    questions: ModelStudy, asking: Asking | None, judged: Judged, arms: Arms
) -> Iterator[Grouping]:
    """Give the groupings of a claim's prompts by the right answers of its reads, and by the labels
    of the directions and parts that its change is made of, each once. The advice is how to claim
    something of one label, where the mean describes none; else ""."""
    part = questions.by_label.get(judged.claim.of)
    task = part.task if part else None
    known = isinstance(task, Task) and task.unit in judged.units and math.isfinite(judged.estimate)
    if asking is None or not isinstance(task, Task) or not known:
        return
    table = judging.numbers(judged.claim, arms)
    cells, seen = Cells.of(table, judged.units, judged.claim.statistic), set[tuple[int, ...]]()
    values = cells.values(task.unit)
    if not np.isclose(values.mean(), judged.estimate):
        return  # it is no mean over prompts
    rows = [task.prompts.rows[i] for i in task.rows]
    units = task.prompts.units(task.rows)
    for name, text in _named(task, asking):
        pairs = {(u, r.fill_known(text).strip()) for u, r in zip(units, rows, strict=True)}
        if len(pairs) > len(by_unit := dict(pairs)):
            continue  # the rows of a unit have several
        each = [by_unit[str(u)] for u in np.unique(cells.levels[task.unit])]
        of, column = numbered(each), SLOT.fullmatch(text.strip())
        if not 1 < len({*each}) <= MOST_ANSWERS or np.bincount(of).min() < 2 or {tuple(of)} & seen:
            continue
        seen.add(tuple(of))
        grouping, advice = by_answer(cells, task.unit, name, each), ""
        true = [v for v, x in grouping.answers.items() if judged.range[0] <= x <= judged.range[1]]
        if column and true and is_of_none(values, of):
            advice = _alone(task, asking, column[1], true[0])
        yield replace(grouping, advice=advice)


def _named(task: Task, asking: Asking) -> Iterator[tuple[str, str]]:
    """What a study names as answers or labels, with a text that has it for each row."""
    for read in (r for r in task.reads if any(r.name == c.name for c in asking.read.columns)):
        if answer := next(iter(controls.answers(read)), ""):
            yield "the answer", answer
    labels = [d.label for d in task.own_directions if d.difference or d.probe]
    tops = [t.top for t in (task.intervention, *task.reads, *task.own_directions) if t and t.top]
    labels += [top.label for top in tops if not isinstance(top.by, str)]
    for label in dict.fromkeys(labels):
        if all(label in task.prompts.rows[i].columns for i in task.rows):
            yield label, f"{{{label}}}"


def _alone(task: Task, asking: Asking, column: str, value: str) -> str:
    """How to claim something of the prompts of one value of a column."""
    table = task.prompts.table
    if not task.learns_here:
        way = f'where = {{ {column} = "{value}" }} under {table.name}'
        return "" if table.where else f"to measure {column} “{value}” alone, write {way}"
    read = asking.read.columns[0]
    level = value if re.fullmatch(r"\w+", value) else f'"{value}"'
    return (
        f"to claim it of one {column}, number the rows in a column such as pair, so that each "
        f'number has one row of every {column}; write split = "pair" and levels = "{column}" under '
        f"{table.name}, and name a level in the claim, as in "
        f"{read.arm or asking.main}.{read.name}[{column}={level}]"
    )


def priced(questions: ModelStudy, asking: Asking | None, judged: Judged, arms: Arms) -> Judged:
    """A verdict whose price advises no more prompts where the mean describes no label, and says how
    many rows they take where some are only learned from."""
    part, price = questions.by_label.get(judged.claim.of), judged.price
    task = part.task if part else None
    if not isinstance(task, Task | ProbeTask):
        return judged
    if not price or not price.more or price.factor != task.unit:
        return judged
    if judged.reason == STRADDLES and isinstance(task, Task):
        for split in splits(questions, asking, judged, arms):
            if split.carries and split.advice:
                none = f"more {plural(task.unit, 2)} do not help, because the mean describes no"
                return structs.replace(judged, price=Price(f"{none} {split.name}; {split.advice}"))
    if not task.learns_here or " in all" not in price.text:
        return judged
    table = task.prompts.table
    share = "half" if table.learn == 0.5 else f"{table.learn:.0%}"
    more = math.ceil((judged.n[price.factor] + price.more) / (1 - table.learn))
    every = f"{more:,} with the {share} that is not measured"
    return structs.replace(judged, price=structs.replace(price, text=f"{price.text}, {every}"))
