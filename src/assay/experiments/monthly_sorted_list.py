"""Monthly sorted list: one block of attention writes a list in rising order, and how it finds the
next value

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, October 2023 (ARENA, learn.arena.education)
Claim: models sort; our explanation is good, and better than one that is half right
Baselines: other answers, untrained; two rivals; shuffled, empty, whole
Cost: 65 s on 2 cores, 110 CPU-seconds, 0.7 GB a process; full a guess of 30 CPU-minutes, never run
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from assay.circuits.solving.entry import entry
from assay.circuits.solving.solver import Explains, Monthly, Solver
from assay.circuits.solving.statements import explained, solved, sure
from assay.worlds.algorithms.task import Task


@dataclass(frozen=True, kw_only=True)
class SortedList(Solver):
    items: Annotated[int, Ge(2)] = 5
    """Values in a list."""
    values: Annotated[int, Ge(2)] = 21
    """Values that there are, from 0 on; a list has each at most once."""


def task(s: SortedList) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.sorted_list import sorted_list

    return sorted_list(s.items, s.values)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import sorted_list

    return sorted_list


monthly = Monthly(
    name="monthly-sorted-list",
    task=task,
    explains=explains,
    same="a model has one block of two heads, and in every model both are named",
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of October 2023"
PAGE = """
**The question.** A list, a separator, and the list again in rising order: which value comes next?
Asked of a decoder of one block without an MLP. It is enough to attend to the smallest value above
the present one, and to copy it. """
experiment = entry(
    monthly,
    seed=22360,
    models=24,
    claims=(
        solved(
            "sort: the right value has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
        *explained(
            monthly,
            "sort",
            "that the list is gone through in its own order",
            "that heads look no further than a quarter of the values",
        ),
    ),
    smoke=SortedList(
        layers=1,
        heads=2,
        d=12,
        e=6,
        items=3,
        values=6,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=SortedList(layers=1, heads=2, d=48, e=24, steps=1500, batch=64),
    full=SortedList(
        layers=1,
        heads=2,
        d=96,
        e=48,
        items=10,
        values=51,
        steps=7324,
        batch=512,
        lr=1e-3,
        decay=5e-3,
    ),
    frozen={
        "layers": 'the title, "one block of attention",',
        "heads": 'what is said of controls, "two heads",',
    },
    scope="{decoders}, on lists of {items} distinct values below {values}",
    page=PAGE,
)
