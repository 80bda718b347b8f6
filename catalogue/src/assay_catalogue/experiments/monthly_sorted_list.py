"""Monthly sorted list: one block of attention writes a list in rising order, and how it finds the
next value

Group: puzzles
Paper: C. McDougall, Monthly Algorithmic Problem, October 2023 (ARENA, learn.arena.education)
Claim: models sort; our explanation is good, and better than one that is half right
Baselines: untrained; two rivals; shuffled, empty, whole
Cost: 311 s on 2 cores, 105 CPU-seconds, 0.7 GB a process
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge

from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.solving.entry import entry
from assay_catalogue.circuits.solving.solver import SMALL, Monthly, Solver
from assay_catalogue.circuits.solving.statements import explained, solved, sure
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.sorted_list import sorted_list


@dataclass(frozen=True, kw_only=True)
class SortedList(Solver):
    items: Annotated[int, Ge(2)] = 5
    """Values in a list."""
    values: Annotated[int, Ge(2)] = 21
    """Values that there are, from 0 on; a list has each at most once."""


SEED, INPUTS = 2000, 600
"""Of the lists on which roles are looked for, and how many; no score is taken on them."""
LEAST = 0.1
"""A head looks for the next value where that draws this much of its attention, on average."""
REACH = 4
"""The half-right rival says that heads look no further than the values divided by this."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of sorted lists: the next value is attended to by the heads that `finders`
    names, and copied.

    Sorted lists, explained: a head looks for the smallest value above the present one, and copies
    it.

    From a place of the sorted half, and from SEP, heads attend within the mixed half to values
    above the present one, to the smallest most, and what they attend to becomes the answer. Heads
    share out the values between them: without one of them low values are lost, without the other
    one high values. Both write the same thing, so one variable lives in both.

    As in the published explanation, what is written for a value also lifts the value just below it,
    which is the one that cannot be the answer, and the largest jumps are what the model is least
    sure of.
    """
    items = _items(problem)
    return Explanation(
        of="monthly-sorted-list",
        name="heads copy the smallest value above the present one",
        variables=(
            Variable("floor", "-1 if token == 'SEP' else token"),
            Variable(
                "next",
                f"least(token, there(place) < {items} and there(token) > floor)",
                _places(problem, finders(problem)),
                ("floor.q", "place", "token.k", "token.v"),
            ),
        ),
        answer="next",
        margin=margin(problem),
        leaves_out="Which head serves which values: they share them out, and where one is needed the "  # noqa: E501
        "other one still helps. That other values "
        "above the present one draw attention too. How logits of wrong values differ.",
    )


def rival(problem: Problem) -> Explanation:
    """Say that the same heads go through the mixed list in its own order."""
    items = _items(problem)
    return Explanation(
        of="monthly-sorted-list",
        name="heads copy the next value in the order of the list",
        variables=(
            Variable(
                "next",
                f"last(token, there(place) == place - {items})",
                _places(problem, finders(problem)),
                ("place", "token.v"),
            ),
        ),
        answer="next",
        margin=margin(problem),
    )


def half_right(problem: Problem) -> Explanation:
    """Say that heads look no further than a quarter of the values: right about heads and about most
    steps, wrong about the long ones.

    Where no value lies so near, the first one beyond is said to be named.
    """
    items, values = _items(problem), len(problem.task.tokens) - 1
    reach = values // REACH
    return Explanation(
        of="monthly-sorted-list",
        name=(
            "heads copy the smallest value above the present one, if it lies no more than "
            f"{reach} above"
        ),
        variables=(
            Variable("floor", "-1 if token == 'SEP' else token"),
            Variable(
                "next",
                f"least(token, there(place) < {items} and there(token) > floor and "
                f"there(token) <= floor + {reach})",
                _places(problem, finders(problem)),
                ("floor.q", "place", "token.k", "token.v"),
            ),
        ),
        answer=f"next if next >= 0 else min(floor + {reach + 1}, {values - 1})",
        margin=margin(problem),
        leaves_out="Steps longer than that.",
        fails="0",  # its own mistakes are not foretold to be the model's
    )


def finders(problem: Problem) -> tuple[int, ...]:
    """Find the heads whose attention from the sorted half lies on the next value, LEAST of it on
    average; where none does, that which does most."""
    items = _items(problem)
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    pattern = problem.run(tokens).patterns[0][0].double().numpy()[:, :, items : 2 * items, :items]
    hit = tokens[:, None, :items] == problem.task.answer(tokens)[:, items : 2 * items, None]
    share = (pattern * hit[:, None]).sum(3).mean((0, 2))
    heads = tuple(int(h) for h in (share >= LEAST).nonzero()[0])
    return heads or (int(share.argmax()),)


def margin(problem: Problem) -> float:
    """Measure how far the right logit lies above the mean of all others, on average."""
    items = _items(problem)
    tokens = problem.task.draw(SEED, 1, INPUTS, held_out=True)
    logits, answers = (
        problem.logits(tokens)[:, items : 2 * items],
        problem.task.answer(tokens)[:, items : 2 * items],
    )
    right_logits = np.take_along_axis(logits, answers[..., None], 2)[..., 0]
    return round(
        float((right_logits - (logits.sum(2) - right_logits) / (problem.classes - 1)).mean()), 1
    )


def _places(problem: Problem, heads: tuple[int, ...]) -> tuple[Place, ...]:
    """These heads, where an answer is asked for."""
    items = _items(problem)
    return tuple(Place(Part("head", 0, h), positions=tuple(range(items, 2 * items))) for h in heads)


def _items(problem: Problem) -> int:
    return problem.task.length // 2


monthly = Monthly(
    name="monthly-sorted-list",
    task=lambda s: sorted_list(s.items, s.values),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
    same="a model has one block of two heads, and in every model both are named",
)
SOURCE = "C. McDougall, Monthly Algorithmic Problem of October 2023"
PAGE = """
**The question.** A list, a separator, and the list again in rising order: which value comes next?
Asked of a decoder of one block without an MLP. It is enough to attend to the smallest value above
the present one, and to copy it. """
experiment = entry(
    monthly,
    seed=23300,
    models=24,
    claims=explained(
        monthly,
        "sort",
        "that the list is gone through in its own order",
        "that heads look no further than a quarter of the values",
        solved(
            "sort: the right value has a probability of at least .99 on average",
            sure,
            SOURCE,
            low=0.99,
        ),
    ),
    smoke=SortedList(layers=1, heads=2, d=12, e=6, items=3, values=6, **SMALL),
    default=SortedList(layers=1, heads=2, d=48, e=24, steps=1500, batch=64),
    frozen={
        "layers": 'the title, "one block of attention",',
        "heads": 'what is said of controls, "two heads",',
    },
    scope="{decoders}, on lists of {items} distinct values below {values}",
    page=PAGE,
)
