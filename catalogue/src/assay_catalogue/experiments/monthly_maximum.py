"""Monthly maximum: one block names the largest of a list; does it attend to it, and is that the
whole story?

Group: puzzles
Paper: after C. McDougall's monthly algorithmic problems; the maximum of a list is a later kind,
ours by configuration
Claim: models name the largest number; our explanation is good, and better than one that is half
right
Baselines: untrained; two rivals; shuffled, empty, whole
Cost: 106 s on 2 cores, 46 CPU-seconds, 0.6 GB a process
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Float, Int

from assay.train import rng
from assay_catalogue.circuits.explanation import Explanation, Place, Variable
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.solving.entry import entry
from assay_catalogue.circuits.solving.solver import SMALL, Monthly, Solver
from assay_catalogue.circuits.solving.statements import explained, solved, sure
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.task import Task, unasked


def maximum(items: int = 5, values: int = 10) -> Task:
    """Name the largest of BOS n₁ SEP n₂ SEP … nₖ ANS, asked at ANS; values are uniform.

    Source: the monthly puzzle of April 2026, part a (A. Arditi and others, puzzles.baulab.info), in
    the style of McDougall's series.
    """
    begin, separator, ask = values, values + 1, values + 2

    def draw_inputs(generator: np.random.Generator, n: int) -> Int[np.ndarray, "n s"]:
        out = np.full((n, 2 * items + 1), separator)
        out[:, 0], out[:, -1] = begin, ask
        out[:, 1:-1:2] = generator.integers(values, size=(n, items))
        return out

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        out = unasked(tokens)
        out[:, -1] = tokens[:, 1:-1:2].max(1)
        return out

    numbers = tuple(map(str, range(values)))
    return Task(
        f"maximum-{items}-{values}",
        (*numbers, "BOS", "SEP", "ANS"),
        numbers,
        2 * items + 1,
        draw_inputs,
        answer,
    )


@dataclass(frozen=True, kw_only=True)
class Maximum(Solver):
    items: Annotated[int, Ge(2)] = 5
    """Numbers in a list."""
    values: Annotated[int, Ge(2)] = 10
    """Numbers that there are, from 0 on."""


SEED, INPUTS = 2000, 1000
"""Of the lists on which roles are looked for; no score is taken on them."""
LEAST = 0.5
"""A head attends to the largest number that gives it so much of its attention, on average."""
LISTS = 100
"""Lists of each largest number on which it is seen whether that one is named."""


def explanation(problem: Problem) -> Explanation:
    """Explain a model of the maximum: the heads that attend to the largest number, and which
    numbers are not named.

    Roles are found by attention: `watching`; the margin is the factor that fits the model's logits
    best; where it fails: `unnamed`.

    Maximum of a list, explained: at ANS a head attends to the largest number, and what it attends
    to is named.

    The score of a number rises with its size, whatever stands beside it, so that the largest one
    takes nearly all attention; what marks the list is passed over. Numbers so small that they are
    hardly ever the largest are the weak spot: their step may be small or wrong, and so may be what
    is named.
    """
    values = len(problem.task.answers)
    poor = np.flatnonzero(unnamed(problem) > 0.5)
    return Explanation(
        of="monthly-maximum",
        name="a head attends to the largest number and copies it",
        answer="largest",
        margin=round(margin(problem), 1),
        variables=(
            Variable(
                "largest",
                f"most(token, there(token) < {values})",
                watching(problem),
                ("token.k", "token.v"),
            ),
        ),
        fails=" or ".join(f"largest == {v}" for v in poor) if len(poor) else None,
        leaves_out="How far the scores of neighbours lie apart, so how much attention equal or nearly "  # noqa: E501
        "equal numbers draw together; "
        "which other numbers come second.",
    )


def rival(problem: Problem) -> Explanation:
    """Say that the number that stands in the list most often is named, since equal ones draw
    attention together; of these the largest."""
    values = len(problem.task.answers)
    return Explanation(
        of="monthly-maximum",
        name="the most frequent number, for equal ones draw attention together",
        answer="found",
        margin=round(margin(problem), 1),
        variables=(
            Variable("often", "count(there(token) == token)"),
            Variable("peak", f"most(often, there(token) < {values})"),
            Variable(
                "found",
                f"most(token, there(token) < {values} and there(often) == peak)",
                watching(problem),
                ("often", "peak", "token"),
            ),
        ),
        leaves_out="Which of two numbers that are as frequent is attended to more.",
    )


def half_right(problem: Problem) -> Explanation:
    """Say that numbers lie on a line: right about the head and what it attends to, wrong about how
    that is named.

    The logit of each number is said to fall with its distance from the largest, up to half of all
    numbers away, by one slope that fits the model's best. So the right number is named on every
    list; only that numbers stand apart, each by itself, is missed."""
    values = len(problem.task.answers)
    steep, far = slope(problem), _far(problem)
    return Explanation(
        of="monthly-maximum",
        name="a head attends to the largest number, and numbers near it are named nearly as much",
        variables=(
            Variable(
                "largest",
                f"most(token, there(token) < {values})",
                watching(problem),
                ("token.k", "token.v"),
            ),
        ),
        logits=tuple(f"{-steep:.2f} * min(abs(largest - {v}), {far})" for v in range(values)),
        leaves_out="That each number has a direction of its own.",
    )


def watching(problem: Problem) -> tuple[Place, ...]:
    """Find the heads that attend from ANS to the largest number; the one that does so most where
    none reaches LEAST."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    largest = tokens == _largest(problem, tokens)[:, None]
    share = {
        Part("head", layer, head): float((pattern[0, :, head, -1].numpy() * largest).sum(1).mean())
        for layer, pattern in enumerate(problem.run(tokens).patterns)
        for head in range(pattern.shape[2])
    }
    chosen = [part for part, x in share.items() if x >= LEAST] or [
        max(share, key=lambda part: share[part])
    ]
    return tuple(map(Place, chosen))


def margin(problem: Problem) -> float:
    """Fit how far the logit of the largest number lies above the others, by least squares over
    lists and answers."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    logits = problem.logits(tokens)[:, -1]
    one_hot = np.eye(logits.shape[1])[_largest(problem, tokens)]
    one_hot -= one_hot.mean(1, keepdims=True)
    return float((logits * one_hot).sum() / (one_hot**2).sum())


def slope(problem: Problem) -> float:
    """Fit by how much logits fall with each number that theirs is further from the largest, by
    least squares over lists and answers."""
    tokens = problem.task.draw(SEED, 0, INPUTS, held_out=True)
    logits = problem.logits(tokens)[:, -1]
    distances = -np.minimum(
        abs(_largest(problem, tokens)[:, None] - np.arange(logits.shape[1])), _far(problem)
    ).astype(np.float64)
    distances -= distances.mean(1, keepdims=True)
    return float((logits * distances).sum() / (distances**2).sum())


def unnamed(problem: Problem) -> Float[np.ndarray, " value"]:
    """Measure for each number how often it is not named though it is the largest, on lists drawn
    evenly among those."""
    values = len(problem.task.answers)
    return np.array(
        [
            problem.wrong(problem.logits(lists), lists).mean()
            for lists in (_below(problem, v) for v in range(values))
        ]
    )


def _far(problem: Problem) -> int:
    """The distance from which on numbers are said to be alike: more than half of them away."""
    return len(problem.task.answers) // 2 + 1


def _below(problem: Problem, most: int) -> Int[np.ndarray, "n s"]:
    """Lists of which a given number is the largest: others are drawn up to it, and it is put
    somewhere."""
    generator = rng.generator(SEED, "monthly.maximum.below", most)
    lists = problem.task.draw(SEED, 1, LISTS, held_out=True)
    numbers = _numbers(problem, lists)
    where = np.flatnonzero(numbers[0])
    lists[:, where] = generator.integers(most + 1, size=(LISTS, len(where)))
    lists[np.arange(LISTS), generator.choice(where, LISTS)] = most
    return lists


def _largest(problem: Problem, tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, " n"]:
    return np.where(_numbers(problem, tokens), tokens, -1).max(1)


def _numbers(problem: Problem, tokens: Int[np.ndarray, "n s"]) -> Bool[np.ndarray, "n s"]:
    """Where numbers stand."""
    return tokens < len(problem.task.answers)


monthly = Monthly(
    name="monthly-maximum",
    task=lambda s: maximum(s.items, s.values),
    explanation=explanation,
    rival=rival,
    half_right=half_right,
    same="a model has one head, and it can have no other role",
)
SOURCE = "after C. McDougall, Monthly Algorithmic Problems"
PAGE = """
**The question.** A list of numbers, and then: which was the largest? One block with one head is
enough. Attention can be given to the largest number, whatever stands beside it, and what is
attended to can be named. """
experiment = entry(
    monthly,
    seed=23700,
    models=24,
    claims=explained(
        monthly,
        "find a maximum",
        "that the most frequent number is named",
        "that numbers near the largest are named nearly as much",
        solved(
            "name the largest number: the right answer has a probability of at least .99 on "
            "average",
            sure,
            SOURCE,
            low=0.99,
        ),
    ),
    smoke=Maximum(layers=1, heads=1, d=16, e=16, items=3, values=4, **SMALL),
    default=Maximum(layers=1, heads=1, d=32, e=32, steps=800, batch=64),
    frozen={"layers": 'the title, "one block",', "heads": 'what is said of controls, "one head",'},
    scope="{decoders}, on lists of {items} numbers below {values}",
    page=PAGE,
)
