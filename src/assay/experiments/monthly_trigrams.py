"""Monthly trigrams: a small transformer learns that certain pairs of tokens bind a third, and how
it looks it up

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, November 2024 (ARENA, learn.arena.education); no
official solution
Claim: models learn the trigrams; our explanation is good, and better than one that is half right
Baselines: other answers, untrained; two rivals; shuffled, empty, whole
Cost: 225 s on 2 cores, 270 CPU-seconds, 1.4 GB a process; full a guess of 30 CPU-minutes, never run
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from annotated_types import Ge, Gt, Lt

from assay.circuits.solving.entry import entry
from assay.circuits.solving.solver import Explains, Monthly, Solver
from assay.circuits.solving.statements import above, explained, known, solved
from assay.worlds.algorithms.task import Task
from assay.worlds.algorithms.trigrams import law


@dataclass(frozen=True, kw_only=True)
class TrigramTask(Solver):
    length: Annotated[int, Ge(4)] = 32
    """Tokens in a sequence."""
    letters: Annotated[int, Ge(2)] = 12
    """Capital letters, and as many small ones."""
    count: Annotated[int, Ge(1)] = 12
    """Trigrams of the law."""
    rate: Annotated[float, Gt(0), Lt(1)] = 1 / 30
    """How often one begins where none is going on."""


def task(s: TrigramTask) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.trigrams import trigrams

    return trigrams(law(0, s.letters, s.count, s.rate), s.length)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import trigrams

    return trigrams


monthly = Monthly(
    name="monthly-trigrams",
    task=task,
    explains=explains,
    same="a model has one head and one MLP, and all of them learn one law",
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of November 2024"
PAGE = """
**The question.** Among random letters some trigrams occur: a certain capital and a certain small
letter, and then always a certain third. What comes next? One head can look one token back, and an
MLP can tell which pair stands there. Sources do not agree on the architecture: the page says two
blocks of three heads without an MLP, a solver one head with an MLP; ours is the second. """


experiment = entry(
    monthly,
    seed=22660,
    claims=tuple(
        replace(c, fixed=("{main.count} trigrams",))
        for c in (
            solved(
                "predict nearly as well as can be: their cross-entropy lies at most .05 nat above "
                "the exact predictor's",
                above,
                SOURCE,
                high=0.05,
            ),
            solved(
                "know the trigrams: where the exact predictor names a token, at least .9 of their "
                "answers are the same",
                known,
                SOURCE,
                low=0.9,
            ),
            *explained(
                monthly,
                "complete trigrams",
                "that the present token alone tells what follows",
                "that every third pair alone is bound",
            ),
        )
    ),
    smoke=TrigramTask(
        layers=1,
        heads=1,
        d=16,
        e=16,
        m=16,
        length=8,
        letters=4,
        count=3,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=TrigramTask(
        layers=1, heads=1, d=32, e=32, m=64, rate=1 / 15, steps=2500, batch=64, lr=5e-3
    ),
    full=TrigramTask(
        layers=2,
        heads=3,
        d=48,
        e=16,
        letters=26,
        count=26,
        rate=1 / 60,
        steps=20_000,
        batch=512,
        lr=1e-3,
    ),
    scope="{decoders}, on sequences of {length} tokens with {count} trigrams",
    page=PAGE,
)
