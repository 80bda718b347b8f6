"""Chance: what an answer reaches that reads nothing, and shares of what a model does beyond that.

Answers are counted, not nats: a model that is twice as sure is no better explained by the same
explanation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from assay_catalogue.circuits.problem import Problem

LEAST = 0.05
"""Of less than this share of all answers nothing is said: it is too little to be divided up."""
NOTHING = "nothing to explain: the model does no better than an answer that reads nothing"


def share(gained: ArrayLike, span: ArrayLike, least: float = LEAST) -> np.ndarray:
    """Divide what is gained by all that could be, cut off at 0 and 1.

    Undefined, NaN, where that is no more than `least`: where there is nothing to explain, no
    explanation is right."""
    with np.errstate(all="ignore"):
        # The division is made everywhere and chosen afterwards, hence the errors that are ignored.
        return np.where(np.asarray(span) > least, np.clip(np.divide(gained, span), 0, 1), np.nan)


def unread(problem: Problem, tokens: Int[np.ndarray, "n s"]) -> Float[np.ndarray, " n"]:
    """Count how often the best answer is right that reads nothing but its position, on each input:
    as `Problem.right`."""
    answers, known = problem.known(tokens)
    # minlength: a position at which nothing is known has no counts, and argmax of nothing fails.
    often = [
        np.bincount(a[k], minlength=1).argmax() for a, k in zip(answers.T, known.T, strict=True)
    ]
    return problem.shares((answers == often) & known, tokens)
