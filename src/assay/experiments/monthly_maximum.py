"""Monthly maximum: one block names the largest of a list; does it attend to it, and is that the
whole story?

Group: puzzles
Paper: after C. McDougall's monthly algorithmic problems; the maximum of a list is a later kind,
ours by configuration
Claim: models name the largest number; our explanation is good, and better than one that is half
right
Baselines: other answers, untrained; two rivals; shuffled, empty, whole
Cost: 35 s on 2 cores, 60 CPU-seconds, 0.6 GB a process; full a guess of 1 GPU-minute, never run
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
class Maximum(Solver):
    items: Annotated[int, Ge(2)] = 5
    """Numbers in a list."""
    values: Annotated[int, Ge(2)] = 10
    """Numbers that there are, from 0 on."""


def task(s: Maximum) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.maximum import maximum

    return maximum(s.items, s.values)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import maximum

    return maximum


monthly = Monthly(
    name="monthly-maximum",
    task=task,
    explains=explains,
    same="a model has one head, and it can have no other role",
)
SOURCE = "after C. McDougall, Monthly Algorithmic Problems"
PAGE = """
**The question.** A list of numbers, and then: which was the largest? One block with one head is
enough. Attention can be given to the largest number, whatever stands beside it, and what is
attended to can be named. """
experiment = entry(
    monthly,
    seed=22760,
    models=24,
    claims=(
        solved(
            "name the largest number: the right answer has a probability of at least .99 on "
            "average",
            sure,
            SOURCE,
            low=0.99,
        ),
        *explained(
            monthly,
            "find a maximum",
            "that the most frequent number is named",
            "that numbers near the largest are named nearly as much",
        ),
    ),
    smoke=Maximum(
        layers=1,
        heads=1,
        d=16,
        e=16,
        items=3,
        values=4,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=Maximum(layers=1, heads=1, d=32, e=32, steps=800, batch=64),
    full=Maximum(
        layers=1, heads=1, d=64, e=64, items=10, values=50, steps=10_000, batch=512, lr=1e-3
    ),
    frozen={"layers": 'the title, "one block",', "heads": 'what is said of controls, "one head",'},
    scope="{decoders}, on lists of {items} numbers below {values}",
    page=PAGE,
)
