"""Methods held to circuits that are known: a question put to a circuit by construction; precision,
recall and area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay_catalogue.circuits.find.attribution import Scores
from assay_catalogue.circuits.find.faithfulness import curve, every_size
from assay_catalogue.circuits.find.question import (
    Question,
    logit_difference,
    nothing,
    other,
    right_alone,
)
from assay_catalogue.features import probing
from assay_catalogue.worlds.algorithms.built.circuit import Circuit


def question_of(
    circuit: Circuit,
    n: int,
    donor: Literal["other", "nothing"] = "other",
    *,
    seed: int = 0,
    noise: float = 0.0,
) -> Question:
    """Ask a circuit for its task on n inputs.

    "other": what is put in place was written on other inputs at shuffled places, and the number is
    the right logit less that of the other input's answer, as in MIB. "nothing": parts write
    nothing, and the number is the right logit less the mean of all others.

    `noise` is the standard deviation of what is added to every weight, so that no edge is worth
    exactly 0."""
    task, answers = circuit.task, circuit.shape.answers or circuit.shape.vocab
    params = (
        {
            name: x
            + noise
            * torch.from_numpy(
                rng.normal(np.array([seed]), f"circuits.find.noise.{name}", 0, tuple(x.shape[1:]))
            )
            for name, x in circuit.params.items()
        }
        if noise
        else circuit.params
    )
    # The donor's inputs are another draw, row by row independent of the first.
    inputs, other_inputs = (task.draw(seed, i, n, held_out=True) for i in range(2))
    right, rival = (torch.from_numpy(task.answer(x)) for x in (inputs, other_inputs))
    tokens, answer_mask = torch.from_numpy(inputs), right >= 0
    if donor == "nothing":
        return Question(
            params,
            tokens,
            right_alone(right, answers, answer_mask),
            nothing(params, tokens),
            circuit.shape.activation,
        )
    # Positions are shuffled as well: a learned position writes the same on every input, and who
    # reads it could not be found.
    places = torch.from_numpy(
        rng.generator(seed, "circuits.find.places").random(inputs.shape).argsort(1)
    )
    wrote = other(params, torch.from_numpy(other_inputs), circuit.shape.activation, places)
    return Question(
        params,
        tokens,
        logit_difference(right, rival, answers, answer_mask),
        wrote,
        circuit.shape.activation,
    )


@dataclass(frozen=True)
class Match:
    """How much of what was found is true, and how much of what is true was found."""

    precision: float
    """NaN where nothing was found."""
    recall: float


def match(predicted: Bool[np.ndarray, " edge"], true: Bool[np.ndarray, " edge"]) -> Match:
    """Compare what was found with what is known. Raises: DataError where nothing is known to be
    true."""
    predicted, true = np.asarray(predicted, bool), np.asarray(true, bool)
    if not true.any():
        raise DataError("no edge is known to be in the circuit, so there is nothing to find")
    both, marked = int((predicted & true).sum()), int(predicted.sum())
    return Match(both / marked if marked else float("nan"), both / int(true.sum()))


def auroc(score: Float[np.ndarray, " edge"], true: Bool[np.ndarray, " edge"]) -> float:
    """Give the chance that a true edge has a larger score than another one; equal scores count
    half.

    Range: 0 to 1, 0.5 where scores know nothing
    Better: higher
    Raises: DataError where all edges are true or none is.
    Source: MIB (arXiv 2504.13151) reports it where the circuit is known, there by the trapezoidal
    rule over its proportions."""
    chance = probing.auroc(score, true)
    if np.isnan(chance):
        raise DataError("a ranking is judged by true edges and others; one of the two is missing")
    return chance


@dataclass(frozen=True)
class Held:
    """How well scores of edges do on a circuit that is known."""

    match: Match
    """Of the edges worth at least a hundredth of all there is."""
    auroc: float
    """Of the size of scores."""
    cpr: float
    """Of circuits of every size, edges ranked by signed score."""
    cmd: float
    """Of circuits of every size, edges ranked by the size of their score."""


def held(q: Question, scores: Scores, true: Bool[np.ndarray, " edge"]) -> Held:
    """Hold the scores of one run to what is known. Raises: DataError as `match` and `auroc`, and
    for several runs."""
    if scores.values.shape[0] != 1:
        raise DataError(
            f"scores of one run are held to a circuit at a time, not of {scores.values.shape[0]}"
        )
    # Such circuits have so few edges that many of MIB's proportions are less than one.
    sizes = every_size(q)
    return Held(
        match(scores.found(q)[0].cpu().numpy(), true),
        auroc(scores.mean()[0].abs().cpu().numpy(), true),
        float(curve(q, scores, absolute=False, shares=sizes).cpr),
        float(curve(q, scores, absolute=True, shares=sizes).cmd),
    )
