"""Monthly digit sum: two blocks of attention add numbers, the most significant digit first, and how
they carry

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, September 2023 (ARENA, learn.arena.education)
Claim: models add; our explanation is good, and better than one that is half right
Baselines: other answers, untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 135 s on 2 cores, 240 CPU-seconds, 0.7 GB a process; full a guess of 30 CPU-minutes, never run
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from assay.circuits.solving.entry import entry
from assay.circuits.solving.solver import Explains, Monthly, Solver
from assay.circuits.solving.statements import explained, solved, sure
from assay.core.claims import Published
from assay.worlds.algorithms.task import Task


@dataclass(frozen=True, kw_only=True)
class DigitSum(Solver):
    digits: Annotated[int, Ge(1)] = 2
    """Digits of each number."""


def task(s: DigitSum) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.digit_sum import digit_sum

    return digit_sum(s.digits)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import digit_sum

    return digit_sum


monthly = Monthly(name="monthly-digit-sum", task=task, explains=explains)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of September 2023"
MEAN = Published(
    0.993, SOURCE, note="mean probability of one model of four digits, where ours have two"
)
PAGE = """
**The question.** What is A + B, digit by digit, the most significant one first? Asked of a decoder
of two blocks without an MLP. A digit of the sum needs two digits and a carry, and the carry comes
from digits that stand further right. """
experiment = entry(
    monthly,
    seed=22260,
    claims=(
        solved(
            "add: the right digit has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
        *explained(
            monthly,
            "add",
            "that nothing is carried",
            "that it takes two digits of five or more to carry and wrong digits are alike",
        ),
    ),
    smoke=DigitSum(
        layers=2,
        heads=3,
        d=12,
        e=6,
        digits=2,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=DigitSum(
        layers=2, heads=3, d=48, e=24, steps=2500, batch=64, tried=150, resamples=300, lr=5e-3
    ),
    full=DigitSum(
        layers=2, heads=3, d=48, e=24, digits=4, steps=19531, batch=512, lr=2e-3, decay=1e-3
    ),
    frozen={"layers": 'the title, "two blocks of attention",'},
    scope="{decoders}, on sums of two numbers of {digits} digits",
    page=PAGE,
    published=MEAN,
)
