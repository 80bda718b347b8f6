"""Distinct symbols explained: detectors and miscounted sets are found as they were written by hand;
a model can be trained without positions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_solvers import SMALL, recovered

from assay.core import grid
from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.interchange import foretold
from assay_catalogue.circuits.verify.rivals import moved
from assay_catalogue.circuits.verify.score import score, table
from assay_catalogue.experiments.monthly_distinct import (
    distinct,
    explanation,
    find_symbols,
    half_right,
    missed,
    parabolas,
    percents,
    rival,
)
from assay_catalogue.subjects.parts import Part
from assay_catalogue.worlds.algorithms.built.circuit import SHARP, attends, empty, matrix, rooms
from assay_catalogue.worlds.algorithms.solved import Solved, training
from assay_catalogue.worlds.algorithms.task import has_answer

BEGIN, ASK = 4, 5
DETECTS = {(0, 0): 2, (0, 1): 0, (1, 0): 3, (1, 1): 1}
"""Which symbol each head, by block and number, looks for."""


def by_hand(weights: tuple[float, ...] = (1, 1, 1, 1)) -> Problem:
    """Each head attends from ANS to its own symbol, or to BOS, and adds the symbol's weight to a
    count; logits are k · count − k²/2."""
    task = distinct(6, 4)
    r = rooms(token=6, count=1)
    shape = Shape(
        layers=2, d=7, heads=2, m=0, context=task.length, vocab=6, norm="none", d_head=2, answers=4
    )
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(6)
    query = torch.zeros(6, 1, dtype=torch.float64)
    query[ASK] = 1
    for (layer, head), symbol in DETECTS.items():
        key = torch.zeros(6, 1, dtype=torch.float64)
        key[symbol], key[BEGIN] = 2 * SHARP, SHARP
        attends(p, layer, head, matrix(shape, r["token"], query), matrix(shape, r["token"], key))
        p["W_QKV"][0, layer, symbol, 2, head, 0] = weights[symbol]
        p["W_O"][0, layer, head, 0, r["count"].all] = 1
    k = torch.arange(1, 5, dtype=torch.float64)
    p["W_U"][0, r["count"].all], p["W_U"][0, ASK] = 10 * k, -5 * k**2
    return Problem(task, p)


def test_each_detector_is_found_with_its_symbol():
    problem = by_hand()
    assert {key: find_symbols(problem, *key) for key in DETECTS} == {
        key: (symbol,) for key, symbol in DETECTS.items()
    }
    assert missed(problem) == () and explanation(problem).fails == "0"


@pytest.mark.thorough
def test_the_controls_rank_below_the_explanation_of_the_model_by_hand():
    problem = by_hand()
    found = table(explanation(problem), rival(problem), problem, 7, SMALL)
    assert (
        found.ranked and found.own.quality.estimate > 0.7
    )  # of a model with few numbers any words are long
    assert all(row.estimate > 0.98 for row in found.own.parts[:3])
    assert found.controls["another"].quality.estimate < 0.2 and not any(
        c.refused for c in found.controls.values()
    )


def test_the_count_is_read_from_what_heads_write_and_changes_with_it():
    """A head's writing comes from another input: its symbol counts where that one has it, in the
    model and in what is said."""
    problem = by_hand()
    tokens = problem.task.draw(8, 0, 200, held_out=True)
    program, others = Program(explanation(problem), problem), np.roll(tokens, 1, 0)
    theirs = program.values(others)
    for (layer, head), symbol in DETECTS.items():
        pairs = zip(tokens.tolist(), others.tolist(), strict=True)
        sets = [{*a} - {BEGIN, ASK, symbol} | {*b} & {symbol} for a, b in pairs]
        name = f"told{layer}_{head}"
        given = {name: theirs[name]}
        assert program.values(tokens, given)["known"][:, -1].tolist() == [len(x) for x in sets]
        answers = foretold(program, tokens, given)[:, -1]
        assert answers.tolist() == [max(len(x), 1) - 1 for x in sets]
        assert (answers != problem.task.answer(tokens)[:, -1]).any()
        swap = {Part("head", layer, head): lambda x: x.roll(1, 1)}
        assert np.array_equal(problem.named(problem.logits(tokens, written=swap))[:, -1], answers)


def test_a_symbol_of_two_heads_counts_by_the_share_of_the_one_that_tells_of_it(monkeypatch):
    """Of symbol 0, a quarter is written by head 0 and the rest by head 1, as percents show."""
    problem = by_hand()
    task, wrote = problem.task, problem.params["W_O"]
    assert percents(problem).tolist() == [
        [[100 * (DETECTS[i, h] == c) for c in range(4)] for h in range(2)] for i in range(2)
    ]
    problem.params["W_QKV"][0, 0, :, :, 0] = problem.params["W_QKV"][0, 0, :, :, 1]
    wrote[0, 0, 1] *= 3
    assert percents(problem)[0, :, 0].tolist() == [25, 75]
    both = {(0, 0): (2, 0), (0, 1): (0,), (1, 0): (3,), (1, 1): (1,)}
    monkeypatch.setattr(
        "assay_catalogue.experiments.monthly_distinct.find_symbols", lambda problem, *key: both[key]
    )
    program = Program(explanation(problem), problem)
    tokens = np.stack([task.read("BOS a a b b b d ANS")])
    absent = np.zeros(tokens.shape)
    given = ({}, {"told0_1": absent}, {"told0_0": absent}, {"told0_0": absent, "told0_1": absent})
    known = [program.values(tokens, x)["known"][0, -1] for x in given]
    assert known == [3, 2.25, 2.75, 2]


def test_sets_that_are_miscounted_are_those_with_a_symbol_that_counts_twice():
    """Of four symbols at most four can be said, so that all of them together are counted right."""
    problem = by_hand((1, 2, 1, 1))
    assert set(missed(problem)) == {code for code in range(1, 15) if code & 2}
    tokens = problem.task.draw(8, 0, 300, held_out=True)
    said = Program(explanation(problem), problem).fails(tokens)[:, -1]
    assert np.array_equal(said, problem.wrong(problem.logits(tokens), tokens))


def test_logits_are_met_by_parabolas_exactly_where_they_are_lines():
    problem = by_hand()
    tokens = problem.task.draw(8, 0, 100, held_out=True)
    said, logits = (
        Program(explanation(problem), problem).logits(tokens)[:, -1],
        problem.logits(tokens)[:, -1],
    )
    assert (
        np.abs(said - (logits - logits.mean(1, keepdims=True))).max() < 0.3
    )  # written with a digit or two after the point
    assert len(parabolas(problem)) == 4


def test_the_rival_counts_changes_and_is_right_where_equal_symbols_stand_together():
    problem = by_hand()
    tokens = np.stack(
        [problem.task.read(text) for text in ("BOS a a b b b d ANS", "BOS a b a b a b ANS")]
    )
    known = Program(rival(problem), problem).values(tokens)["known"][:, -1]
    assert known.tolist() == [3, 4]  # six changes, of at most four symbols
    assert problem.task.answer(tokens)[:, -1].tolist() == [2, 1]


@pytest.mark.thorough
def test_a_model_that_is_trained_without_positions_counts_and_is_explained():
    task = distinct(4, 3)
    shape = Shape(
        layers=2, d=16, heads=2, m=0, context=task.length, vocab=5, norm="none", d_head=8, answers=3
    )
    out = training(task, shape, ("W_pos",))(
        Runs(grid(Solved(steps=400, batch=64, lr=1e-2), seed=[3])), Unkept()
    )
    params = {name: out.tensors[name] for name in shape.parameters()}
    assert (params["W_pos"] == 0).all() and (params["W_E"] != 0).any()
    problem, tokens = Problem.nth(task, params, 0), task.draw(11, 0, 500, held_out=True)
    answers = task.answer(tokens)
    said = problem.logits(tokens).argmax(-1)[has_answer(answers)]
    assert (said == answers[has_answer(answers)]).mean() > 0.9
    found = table(explanation(problem), rival(problem), problem, 7, SMALL)
    assert recovered(found.own) > recovered(found.controls["another"])
    assert not any(c.refused for c in found.controls.values())


@pytest.mark.parametrize("named", [(), ("W_pos",)])
def test_only_what_is_named_stays_at_zero(named):
    task = distinct(3, 2)
    shape = Shape(
        layers=1, d=8, heads=1, m=0, context=task.length, vocab=4, norm="none", d_head=4, answers=2
    )
    out = training(task, shape, named)(Runs(grid(Solved(steps=3, batch=16), seed=[3])), Unkept())
    assert {
        name for name in ("W_pos", "W_E", "W_U", "W_O") if (out.tensors[name] == 0).all()
    } == set(named)


@pytest.mark.thorough
def test_who_is_half_right_counts_no_further_than_half_and_scores_between():
    problem = by_hand()
    tokens = problem.task.draw(8, 0, 200, held_out=True)
    known = Program(half_right(problem), problem).values(tokens)["known"][:, -1]
    assert known.tolist() == [min(len({*row} - {BEGIN, ASK}), 2) for row in tokens.tolist()]
    ours, found = (
        score(explanation(problem), problem, 7, SMALL),
        score(half_right(problem), problem, 7, SMALL),
    )
    assert 0 < found.quality.estimate < ours.quality.estimate - 0.1


def test_with_its_variables_in_other_heads_it_is_not_as_good():
    problem = by_hand()
    ours = explanation(problem)
    elsewhere = moved(ours, problem, 7)
    assert {v.name: v.at for v in elsewhere.variables} != {v.name: v.at for v in ours.variables}
    theirs, own = (score(e, problem, 7, SMALL).quality.estimate for e in (elsewhere, ours))
    assert theirs < own - 0.3
