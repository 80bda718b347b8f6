"""Running sum explained: neurons found in a model written by hand and in one trained for seconds
are those that a direct look gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_solvers import SMALL, recovered, solver, stands_out

from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.score import score, table
from assay_catalogue.experiments.monthly_running_sum import (
    explanation,
    half_right,
    margin,
    rival,
    running_sum,
    sides,
)
from assay_catalogue.worlds.algorithms.built.circuit import empty


def by_hand(threshold: float = 0.04) -> Problem:
    """Coordinate 0 holds the value, 1 the mean; neurons 2 and 0 fire above and below, neuron 1
    follows the value and nobody reads it."""
    task = running_sum(10, 3)
    p = empty(
        Shape(
            layers=1,
            d=4,
            heads=1,
            m=3,
            context=10,
            vocab=7,
            norm="none",
            activation="relu",
            d_head=1,
            answers=3,
        )
    )
    p["W_E"][0, :, 0] = torch.arange(-3.0, 4.0)
    p["W_QKV"][0, 0, 0, 2, 0, 0] = p["W_O"][0, 0, 0, 0, 1] = 1  # scores are all 0
    p["W_in"][0, 0] = torch.tensor([[0.0, 1, 0], [-1, 0, 2], [0, 0, 0], [0, 0, 0]])
    p["b_in"][0, 0] = torch.tensor([-threshold, 0.0, -2 * threshold])
    p["W_out"][0, 0] = torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0.5]])
    p["W_U"][0, 2:] = 400 * torch.tensor([[1.0, 0, 0], [0, 0, 1]])
    p["b_out"][0, 0] = torch.tensor([-0.01, 0, -0.01, -0.01])
    return Problem(task, p)


@pytest.fixture(scope="module")
def trained() -> Problem:
    task = running_sum(10, 3)
    shape = Shape(
        layers=1,
        d=16,
        heads=1,
        m=6,
        context=10,
        vocab=7,
        norm="none",
        activation="relu",
        d_head=8,
        answers=3,
    )
    return solver(task, shape, seed=5, steps=700, batch=128, lr=1e-2, decay=1e-4)


def test_the_neurons_and_thresholds_that_were_written_are_found():
    above, below = sides(by_hand())
    assert (above.neurons, below.neurons) == ((2,), (0,))
    assert above.threshold == pytest.approx(0.04, abs=1e-6) and below.threshold == pytest.approx(
        0.04, abs=1e-6
    )


def test_the_model_by_hand_is_explained_to_the_last_digit_that_is_written():
    problem = by_hand()
    tokens = problem.task.draw(9, 0, 50, held_out=True)
    assert not problem.wrong(
        problem.logits(tokens), tokens
    ).any()  # so that there is something to explain
    own = Program(explanation(problem), problem).logits(tokens)
    model = problem.logits(tokens)
    assert (
        np.abs((own - own.mean(-1, keepdims=True)) - (model - model.mean(-1, keepdims=True))).max()
        < 0.2
    )  # of 800


@pytest.mark.thorough
def test_the_controls_rank_below_the_explanation_of_the_model_by_hand():
    problem = by_hand()
    found = table(explanation(problem), rival(problem), problem, 7, SMALL)
    assert found.ranked and found.own.quality.estimate > 0.6


@pytest.mark.thorough
def test_of_a_trained_model_every_neuron_named_is_on_one_side_only_and_the_controls_rank_below(
    trained,
):
    tokens = trained.task.draw(9, 0, 200, held_out=True)
    fired = trained.run(tokens).neurons[0][0].numpy()
    mean = (tokens - 3).cumsum(1) / np.arange(1, 11)
    for side, sign in zip(sides(trained), (1, -1), strict=True):
        for neuron in (
            side.neurons
        ):  # a naive look: on at a mean of more than 1 on its side, off on the other
            assert (fired[..., neuron][sign * mean > 1] > 0).all() and not fired[..., neuron][
                sign * mean < -1
            ].any()
    found = table(explanation(trained), rival(trained), trained, 7, SMALL)
    assert stands_out(found, 0.6)


@pytest.mark.thorough
def test_who_is_half_right_names_the_right_sign_by_one_margin_and_scores_between(trained):
    tokens = trained.task.draw(2000, 0, 1000, held_out=True)
    logits, answers = trained.logits(tokens), trained.task.answer(tokens)
    apart = [
        row[a] - max(x for k, x in enumerate(row) if k != a)
        for row, a in zip(logits.reshape(-1, 3), answers.ravel(), strict=True)
    ]
    assert margin(trained) == pytest.approx(np.median(apart))
    half, tokens = half_right(trained), trained.task.draw(9, 0, 100, held_out=True)
    said = Program(half, trained).logits(tokens)
    assert not trained.wrong(said, tokens).any() and set(np.unique(said)) == {
        0.0,
        round(margin(trained), 1),
    }
    ours, found = score(explanation(trained), trained, 7, SMALL), score(half, trained, 7, SMALL)
    assert found.quality.estimate < ours.quality.estimate - 0.1
    assert 0 < recovered(found) < recovered(ours)
