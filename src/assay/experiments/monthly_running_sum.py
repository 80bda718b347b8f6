"""Monthly running sum: one head and eight neurons tell the sign of a sum so far, and how they do it

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, November 2023 (ARENA, learn.arena.education)
Claim: models tell the sign; our explanation is good, and better than one that is half right
Baselines: other answers, untrained; two rivals; shuffled, empty, whole
Cost: 55 s on 2 cores, 100 CPU-seconds, 0.6 GB a process; full a guess of 30 CPU-minutes, never run
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
class RunningSum(Solver):
    length: Annotated[int, Ge(2)] = 20
    """Values in a sequence."""
    most: Annotated[int, Ge(1)] = 5
    """The largest value; the smallest is the same with a minus."""


def task(s: RunningSum) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.running_sum import running_sum

    return running_sum(s.length, s.most)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import running_sum

    return running_sum


monthly = Monthly(
    name="monthly-running-sum",
    task=task,
    explains=explains,
    same="a model has one head and one MLP, and both are named in every model",
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of November 2023"
PAGE = """
**The question.** Is the sum of all values so far negative, zero or positive? Asked at every
position, of a decoder of one head, eight neurons and no norm. Attention that is the same everywhere
takes a mean, which has the sign of the sum; neurons with a threshold can tell the rest. """
experiment = entry(
    monthly,
    seed=22460,
    models=24,
    claims=(
        solved(
            "tell the sign of the sum: the right one has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
        *explained(
            monthly,
            "tell a sum's sign",
            "that the last value alone decides",
            "that neurons name the sign and no more",
        ),
    ),
    smoke=RunningSum(
        layers=1,
        heads=1,
        d=12,
        e=6,
        m=8,
        norm="none",
        length=6,
        most=2,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=RunningSum(
        layers=1, heads=1, d=24, e=12, m=8, norm="none", steps=800, batch=64, lr=5e-3, decay=1e-4
    ),
    full=RunningSum(
        layers=1, heads=1, d=24, e=12, m=8, norm="none", steps=5859, batch=512, lr=1e-3, decay=1e-2
    ),
    frozen=dict.fromkeys(("layers", "heads", "m"), 'the title, "one head and eight neurons",'),
    scope="{decoders}, on sequences of {length} values from −{most} to {most}",
    page=PAGE,
)
