"""Monthly palindromes: two blocks of attention tell whether a list reads the same backwards, and
how they do it

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, July 2023 (ARENA, learn.arena.education)
Claim: models tell palindromes; our explanation is good, and better than one that is half right
Baselines: other answers, untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 245 s on 2 cores, 310 CPU-seconds, 0.8 GB a process; full a guess of 30 CPU-minutes, never run
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
class Palindromes(Solver):
    half: Annotated[int, Ge(1)] = 5
    """Values in each half."""
    values: Annotated[int, Ge(2)] = 13
    """Values that there are, from 0 on."""

    @property
    def length(self) -> int:
        """Values in a list."""
        return 2 * self.half


def task(s: Palindromes) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.palindromes import palindromes

    return palindromes(s.half, s.values)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import palindromes

    return palindromes


monthly = Monthly(name="monthly-palindromes", task=task, explains=explains)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of July 2023"
PAGE = """
**The question.** Is the second half of a list its first half backwards? Asked at the end, of a
decoder of two blocks without an MLP. A position in the second half can look at its mirror image;
what it finds has to reach the end, where one place that differs is enough for a no. """
experiment = entry(
    monthly,
    seed=22060,
    claims=(
        solved(
            "tell palindromes: the right answer has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
        *explained(
            monthly,
            "tell palindromes",
            "that the end compares all pairs by itself",
            "that neighbouring values are taken for equal and pairs that differ add up",
        ),
    ),
    smoke=Palindromes(
        layers=2,
        heads=2,
        d=12,
        e=6,
        half=2,
        values=4,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=Palindromes(
        layers=2,
        heads=2,
        d=28,
        e=14,
        steps=3500,
        batch=64,
        tried=150,
        resamples=300,
        candidates=20_000,
    ),
    full=Palindromes(
        layers=2, heads=2, d=28, e=14, half=10, values=31, steps=2930, batch=512, lr=1e-3
    ),
    frozen={"layers": 'the title, "two blocks of attention",'},
    scope="{decoders}, on lists of {length} values below {values}",
    page=PAGE,
)
