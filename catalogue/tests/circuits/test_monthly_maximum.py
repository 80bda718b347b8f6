"""Maximum explained: roles found in a model written by hand and in one trained for seconds are
those that a direct look gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_solvers import SMALL, solver, stands_out

from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.score import score, table
from assay_catalogue.experiments.monthly_maximum import (
    explanation,
    half_right,
    margin,
    maximum,
    rival,
    slope,
    unnamed,
)
from assay_catalogue.worlds.algorithms.built.circuit import (
    SHARP,
    attends,
    empty,
    matrix,
    moves,
    rooms,
)


def by_hand(deaf: int | None = None) -> Problem:
    """Head 1 attends by size and copies; head 0 spreads evenly and writes where nobody reads. To
    one number it may be deaf."""
    task = maximum(4, 6)
    r = rooms(token=9, found=9, noise=9)
    shape = Shape(
        layers=1, d=27, heads=2, m=0, context=task.length, vocab=9, norm="none", d_head=9, answers=6
    )
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(9)
    size = torch.tensor([[float(v) if v < 6 else -1.0] for v in range(9)], dtype=torch.float64)
    attends(
        p,
        0,
        1,
        matrix(shape, r["token"], torch.ones(9, 1, dtype=torch.float64)),
        matrix(shape, r["token"], SHARP * size),
    )
    moves(p, 0, 1, r["token"], r["found"])
    moves(p, 0, 0, r["token"], r["noise"])
    p["W_U"][0, r["found"].all] = 12 * torch.eye(9, 6, dtype=torch.float64)
    if deaf is not None:
        p["W_U"][0, r["found"].start + deaf, [deaf, deaf + 1]] = torch.tensor(
            [0.0, 12.0], dtype=torch.float64
        )
    return Problem(task, p)


@pytest.fixture(scope="module")
def trained() -> Problem:
    task = maximum(4, 6)
    shape = Shape(layers=1, d=24, heads=1, m=0, context=task.length, vocab=9, d_head=16, answers=6)
    return solver(task, shape, seed=5, steps=300, batch=128, lr=5e-3)


def test_the_head_the_margin_and_what_is_not_named_are_those_that_were_written():
    problem = by_hand()
    (largest,) = explanation(problem).variables
    assert [str(place) for place in largest.at] == ["a0.1"]
    assert margin(problem) == pytest.approx(12)
    assert not unnamed(problem).any() and explanation(problem).fails is None


def test_a_number_that_is_never_named_is_found():
    problem = by_hand(deaf=2)
    assert np.array_equal(unnamed(problem), [0, 0, 1, 0, 0, 0])
    assert explanation(problem).fails == "largest == 2"


@pytest.mark.thorough
def test_a_number_that_is_foretold_is_where_the_model_fails():
    problem = by_hand(deaf=2)
    found = table(explanation(problem), rival(problem), problem, 7, SMALL)
    (fourth,) = (row for row in found.own.parts if row.name == "E4 adversarial")
    assert fourth.estimate == 1
    assert found.ranked


@pytest.mark.thorough
def test_of_a_trained_model_its_head_attends_to_the_largest_number_and_the_controls_rank_below(
    trained,
):
    tokens = trained.task.draw(9, 0, 50, held_out=True)
    pattern = trained.run(tokens).patterns[0][0, :, 0, -1].numpy()
    assert (
        np.mean(
            [
                tokens[i, pattern[i].argmax()] == trained.task.answer(tokens)[i, -1]
                for i in range(50)
            ]
        )
        > 0.9
    )  # a naive look
    found = table(explanation(trained), rival(trained), trained, 7, SMALL)
    assert stands_out(found, 0.7)


@pytest.mark.thorough
def test_who_is_half_right_names_the_right_number_by_another_rule_and_scores_between(trained):
    problem, half = trained, half_right(trained)
    tokens = problem.task.draw(9, 0, 100, held_out=True)
    said = Program(half, problem).logits(tokens)[:, -1]
    assert not problem.wrong(np.repeat(said[:, None], tokens.shape[1], 1), tokens).any()
    steps = np.diff(said, axis=1)
    assert (
        np.isclose(np.abs(steps), slope(problem), atol=0.006).sum(1).min() >= 3
    )  # along a line, up to half of six numbers away
    ours, found = score(explanation(problem), problem, 7, SMALL), score(half, problem, 7, SMALL)
    assert [r.estimate for r in found.parts[:2]] == pytest.approx(
        [r.estimate for r in ours.parts[:2]], abs=0.01
    )  # its head and what it holds
    assert 0 < found.quality.estimate < ours.quality.estimate - 0.1


@pytest.mark.thorough
def test_the_slope_is_that_of_a_naive_fit(trained):
    tokens = trained.task.draw(2000, 0, 1000, held_out=True)
    rows, logits = [], trained.logits(tokens)[:, -1]
    for row in tokens:
        largest = max(v for v in row if v < 6)
        rows.append([-min(abs(v - largest), 4) for v in range(6)])
    x, y = np.array(rows, float), logits - logits.mean(1, keepdims=True)
    assert slope(trained) == pytest.approx(
        np.polyfit((x - x.mean(1, keepdims=True)).ravel(), y.ravel(), 1)[0]
    )
