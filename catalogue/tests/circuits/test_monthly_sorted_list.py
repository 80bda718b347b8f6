"""Sorted lists explained: the heads that are found are those that a direct look gives, in a model
written by hand and in one trained for seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_solvers import solver, stands_out

from assay.core.errors import SpecError
from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.rivals import moved, rivals
from assay_catalogue.circuits.verify.score import Effort, score, table
from assay_catalogue.experiments.monthly_sorted_list import (
    explanation,
    finders,
    half_right,
    margin,
    rival,
)
from assay_catalogue.worlds.algorithms.built.sorting import sorting
from assay_catalogue.worlds.algorithms.sorted_list import sorted_list

SMALL = Effort(inputs=100, resamples=200, candidates=5_000)


@pytest.fixture(scope="module")
def trained() -> Problem:
    task = sorted_list(3, 8)
    shape = Shape(layers=1, d=32, heads=2, m=0, context=task.length, vocab=9, d_head=16, answers=9)
    return solver(task, shape, seed=5, steps=700, batch=64, lr=5e-3)


def test_in_a_model_written_by_hand_the_one_head_is_found_and_nothing_is_left_to_explain():
    built = sorting(4, 9)
    problem = Problem(built.task, built.params)
    assert finders(problem) == (0,)
    tokens = built.task.draw(3, 0, 200, held_out=True)
    items = built.task.length // 2
    logits, answers = problem.logits(tokens)[:, items:-1], built.task.answer(tokens)[:, items:-1]
    naive = np.mean(
        [
            row[a] - np.delete(row, a).mean()
            for row, a in zip(logits.reshape(-1, logits.shape[2]), answers.ravel(), strict=True)
        ]
    )
    assert margin(problem) == pytest.approx(naive, abs=0.1)
    found = table(explanation(problem), rival(problem), problem, 7, SMALL)
    assert found.ranked and found.own.quality.estimate > 0.95
    assert found.controls["another"].quality.estimate < 0.05


def test_a_head_that_looks_elsewhere_is_not_named():
    """A second head, which always looks at SEP, or at itself where there is none yet."""
    built = sorting(4, 9)
    p, tokens = built.params, len(built.task.tokens)
    looks = torch.zeros_like(p["W_QKV"][:, :, :, :, :1])
    looks[0, 0, :tokens, 0, 0, 0], looks[0, 0, tokens - 1, 1, 0, 0] = 1, 500
    extra = {
        "W_QKV": (looks, -2),
        "b_QKV": (torch.zeros_like(p["b_QKV"][:, :, :, :1]), -2),
        "W_O": (torch.zeros_like(p["W_O"]), 2),
    }
    grown = {
        name: torch.cat([x, extra[name][0]], extra[name][1]) if name in extra else x
        for name, x in p.items()
    }
    problem = Problem(built.task, grown)
    assert problem.run(built.task.draw(0, 0, 20)).patterns[0][0, :, 1, 4:, 4].min() > 0.99
    assert finders(problem) == (0,)


@pytest.mark.thorough
def test_of_a_trained_model_those_heads_are_named_that_attend_to_the_next_value(trained):
    tokens = trained.task.draw(9, 0, 80, held_out=True)
    pattern = trained.run(tokens).patterns[0][0].numpy()
    share = np.zeros(2)
    for row, attends in zip(tokens, pattern, strict=True):
        for place in range(3, 6):
            above = [v for v in row[:3] if place == 3 or v > row[place]]
            share += attends[:, place, list(row[:3]).index(min(above))] / (80 * 3)
    assert [h for h in range(2) if share[h] > 0.1] == list(finders(trained))
    found = table(explanation(trained), rival(trained), trained, 7, SMALL)
    assert stands_out(found, 0.5)


def test_who_is_half_right_looks_no_further_than_a_quarter_of_the_values():
    """Of nine values it looks two above; a step that is longer it takes for one of three."""
    built = sorting(4, 9)
    problem, items = Problem(built.task, built.params), 4
    tokens = built.task.draw(3, 0, 100, held_out=True)
    said = Program(half_right(problem), problem).logits(tokens).argmax(-1)
    for row, answers in zip(tokens, said, strict=True):
        for place in range(items, 2 * items):
            floor = -1 if place == items else row[place]
            near = [v for v in row[:items] if floor < v <= floor + 2]
            assert answers[place] == (min(near) if near else min(floor + 3, 8))
    ours, found = (
        score(explanation(problem), problem, 7, SMALL),
        score(half_right(problem), problem, 7, SMALL),
    )
    assert found.parts[0].estimate == pytest.approx(
        ours.parts[0].estimate, abs=0.01
    )  # its heads are the right ones
    assert 0 <= found.quality.estimate < ours.quality.estimate - 0.1


@pytest.mark.thorough
def test_heads_that_change_places_are_no_other_home_where_the_same_is_said_of_both(trained):
    assert finders(trained) == (0, 1)
    counted = rivals(Program(explanation(trained), trained), trained.task.draw(7, 0, 96), 0)
    assert (counted.homes, counted.homes_tried) == (0, 0)
    with pytest.raises(SpecError, match="its variables have no other possible places"):
        moved(explanation(trained), trained, 0)
