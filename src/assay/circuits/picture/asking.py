"""What a problem's task asks of its model, as questions that methods of `find` take: against other
inputs, and against averages."""

from __future__ import annotations

import numpy as np

from assay.circuits.find.question import Donor, Question, logit_difference, mean, other, right_alone
from assay.circuits.picture.bounds import inputs
from assay.circuits.problem import Problem
from assay.core import rng
from assay.core.heavy import torch

AGAINST_OTHERS = "the right answer's logit less that of the other input's answer"
AGAINST_ALL = "the right answer's logit less the mean of all others"


def against_others(problem: Problem, seed: int) -> tuple[Question, str]:
    """Ask with what parts write on other inputs, there at shuffled places, where positions are
    learned; and say what the number is.

    Raises: DataError where an input has no answer.
    """
    n = inputs(problem)
    tokens, other_tokens = (problem.task.draw(seed, i, n, held_out=True) for i in range(2))
    right, rival = (torch.from_numpy(problem.task.answer(x)) for x in (tokens, other_tokens))
    positions = right >= 0
    rivals_known = bool((rival[positions] >= 0).all())
    weights = (
        logit_difference(right, rival, problem.classes, positions)
        if rivals_known
        else right_alone(right, problem.classes, positions)
    )
    return Question(
        problem.params,
        torch.from_numpy(tokens),
        weights,
        _make_donor(problem, other_tokens, seed),
        problem.activation,
    ), (AGAINST_OTHERS if rivals_known else AGAINST_ALL)


def against_averages(problem: Problem, seed: int) -> Question:
    """Ask for the right answer against all others, with what parts write on average at each
    position. Raises: DataError as above."""
    tokens = torch.from_numpy(problem.task.draw(seed, 0, inputs(problem), held_out=True))
    right = torch.from_numpy(problem.task.answer(tokens.numpy()))
    weights = right_alone(right, problem.classes, right >= 0)
    return Question(
        problem.params,
        tokens,
        weights,
        mean(problem.params, tokens, problem.activation),
        problem.activation,
    )


def _make_donor(problem: Problem, tokens: np.ndarray, seed: int) -> Donor:
    shuffled = rng.generator(seed, "circuits.picture.places").random(tokens.shape).argsort(1)
    places = torch.from_numpy(shuffled) if "W_pos" in problem.params else None
    return other(problem.params, torch.from_numpy(tokens), problem.activation, places)
