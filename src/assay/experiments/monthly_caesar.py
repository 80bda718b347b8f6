"""Monthly Caesar: two blocks of attention tell by how much a text was rotated, and from what they
read it

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, January 2024 (ARENA, learn.arena.education), its
easy kind
Claim: models tell the shift; our explanation is good, and better than one that is half right
Baselines: other answers, untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 215 s on 2 cores, 380 CPU-seconds, 1.9 GB a process; full a guess of 30 CPU-minutes, never run
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from assay.circuits.solving.entry import entry
from assay.circuits.solving.solver import Explains, Monthly, Solver
from assay.circuits.solving.statements import above, explained, late, solved
from assay.worlds.algorithms.caesar import commonest
from assay.worlds.algorithms.task import Task


@dataclass(frozen=True, kw_only=True)
class Caesar(Solver):
    length: Annotated[int, Ge(12)] = 32
    """Characters of a text: words of three letters, each with a space."""

    @property
    def words(self) -> float:
        """Words in a text, the last of which may be cut."""
        return self.length / 4


def task(s: Caesar) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.caesar import caesar

    return caesar(commonest(), s.length)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import caesar

    return caesar


monthly = Monthly(name="monthly-caesar", task=task, explains=explains)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of January 2024"
PAGE = """
**The question.** A text of words of three letters was rotated by 0 to 25 letters: by how many?
Asked at every position, of a decoder of two blocks without an MLP. The announcement speaks of
attention both ways and also says that later positions are easier, which needs attention to what was
read alone; so ours reads that alone. The exact predictor knows the words and their frequencies. """
experiment = entry(
    monthly,
    seed=22560,
    claims=(
        solved(
            "tell the shift: from the ninth character on the right one has a probability of at "
            "least .9 on average",
            late,
            SOURCE,
            low=0.9,
        ),
        solved(
            "use what there is: over all positions their cross-entropy lies at most .1 nat above "
            "the exact predictor's",
            above,
            SOURCE,
            high=0.1,
        ),
        *explained(
            monthly,
            "tell a rotation",
            "that letters count alike wherever they stand",
            "that last letters of words alone have a vote",
        ),
    ),
    smoke=Caesar(
        layers=2,
        heads=2,
        d=16,
        e=8,
        length=12,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=Caesar(
        layers=2, heads=2, d=48, e=24, steps=1300, batch=64, lr=5e-3, tried=120, resamples=240
    ),
    full=Caesar(layers=2, heads=2, d=48, e=24, steps=20_000, batch=512, lr=1e-3),
    frozen={"layers": 'the title, "two blocks of attention",'},
    scope="{decoders}, on texts of {words} words of three letters",
    page=PAGE,
)
