"""Monthly first unique: two blocks of attention name the first letter so far that occurs once, and
how they do it

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, August 2023 (ARENA, learn.arena.education)
Claim: models name the first unique letter; our explanation is good, and better than one that is
half right
Baselines: other answers, untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 105 s on 2 cores, 190 CPU-seconds, 0.8 GB a process; full a guess of 30 CPU-minutes, never run
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
class FirstUnique(Solver):
    letters: Annotated[int, Ge(2)] = 4
    """Letters that there are."""
    length: Annotated[int, Ge(3)] = 9
    """Tokens in a sequence, the question mark at its beginning among them."""

    @property
    def asked(self) -> int:
        """Letters in a sequence."""
        return self.length - 1


def task(s: FirstUnique) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.first_unique import first_unique

    return first_unique(s.letters, s.length)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import first_unique

    return first_unique


monthly = Monthly(name="monthly-first-unique", task=task, explains=explains)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of August 2023"
MEAN = Published(
    0.988,
    SOURCE,
    note=(
        "mean probability of one model of ten letters and twenty positions, where ours have four "
        "and nine"
    ),
)
PAGE = """
**The question.** Which is the first letter so far that occurs only once? Asked at every position,
of a decoder of two blocks without an MLP. It has to hold down letters that occur twice, and to
prefer early ones among the rest. """
experiment = entry(
    monthly,
    seed=22160,
    claims=(
        solved(
            "name the first unique letter: the right answer has a probability of at least .98 on "
            "average",
            sure,
            SOURCE,
            low=0.98,
        ),
        *explained(
            monthly,
            "find the first unique letter",
            "that the first block alone finds the first letter that came once",
            "that of letters that came once the last is named",
        ),
    ),
    smoke=FirstUnique(
        layers=2,
        heads=2,
        d=12,
        e=6,
        letters=3,
        length=6,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=FirstUnique(
        layers=2, heads=3, d=42, e=14, steps=2000, batch=64, tried=150, resamples=300
    ),
    full=FirstUnique(
        layers=2, heads=3, d=42, e=14, letters=10, length=20, steps=9766, batch=512, lr=1e-3
    ),
    frozen={"layers": 'the title, "two blocks of attention",'},
    scope="{decoders}, on sequences of {asked} letters, of {letters} kinds",
    page=PAGE,
    published=MEAN,
)
