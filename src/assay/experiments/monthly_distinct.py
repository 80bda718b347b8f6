"""Monthly distinct: how many different symbols a list holds, counted without positions, and how it
is done

Group: puzzles
Paper: the monthly puzzle of May 2026 (puzzles.baulab.info), in the style of C. McDougall's series
Claim: models count symbols; our explanation is good, and better than one that is half right
Baselines: other answers, untrained; two rivals; another model's explanation, moved, shuffled,
empty, whole
Cost: 150 s on 2 cores, 220 CPU-seconds, 0.9 GB a process; full a guess of 30 CPU-minutes, never
run"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from assay.circuits.solving.entry import entry
from assay.circuits.solving.solver import Explains, Monthly, Solver
from assay.circuits.solving.statements import explained, solved, sure
from assay.worlds.algorithms.task import Task


@dataclass(frozen=True, kw_only=True)
class Distinct(Solver):
    length: Annotated[int, Ge(2)] = 8
    """Symbols in a list."""
    symbols: Annotated[int, Ge(2)] = 6
    """Symbols that there are."""


def task(s: Distinct) -> Task:
    """The task of a spec."""
    from assay.worlds.algorithms.distinct import distinct

    return distinct(s.length, s.symbols)


def explains() -> Explains:
    """What explains these models."""
    from assay.circuits.monthly import distinct

    return distinct


monthly = Monthly(name="monthly-distinct", task=task, explains=explains)
SOURCE = "the monthly puzzle of May 2026 (puzzles.baulab.info)"
PAGE = """
**The question.** How many different symbols does a list hold? Asked at its end, of a decoder that
is told no positions, so that it cannot say which of two equal symbols was first. What it can do is
weigh: a symbol that occurs twice must not count twice. """
experiment = entry(
    monthly,
    seed=22860,
    claims=(
        solved(
            "count symbols: the right count has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
        *explained(
            monthly,
            "count symbols",
            "that changes from one symbol to the next are counted",
            "that models count no further than half",
        ),
    ),
    smoke=Distinct(
        layers=2,
        heads=2,
        d=16,
        e=8,
        norm="none",
        placed=False,
        length=4,
        symbols=4,
        steps=60,
        batch=32,
        tested=200,
        tried=100,
        resamples=100,
        candidates=5000,
    ),
    default=Distinct(
        layers=2,
        heads=4,
        d=32,
        e=8,
        norm="none",
        placed=False,
        length=6,
        symbols=5,
        steps=2000,
        batch=64,
        tried=150,
        resamples=300,
        lr=1e-2,
    ),
    full=Distinct(
        layers=2,
        heads=4,
        d=32,
        e=8,
        norm="none",
        placed=False,
        length=10,
        symbols=10,
        steps=40_000,
        batch=512,
        lr=1e-3,
    ),
    scope="{decoders}, on lists of {length} of {symbols} symbols",
    page=PAGE,
)
