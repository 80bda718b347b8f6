"""Trigrams explained: pairs found in a model written by hand and in one trained for seconds are
those of the law; and what drawn answers count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_solvers import SMALL, solver

from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import SURE, Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.score import score, table
from assay_catalogue.circuits.verify.scrubbing import unread
from assay_catalogue.experiments.monthly_trigrams import explanation, find_pairs, half_right, rival
from assay_catalogue.worlds.algorithms.built.circuit import SHARP, attends, empty, matrix, rooms
from assay_catalogue.worlds.algorithms.trigrams import law, trigrams

LAW = law(0, 8, 6, 1 / 15)
TASK = trigrams(LAW, 16)
PAIRS = {(int(A), int(a) + 8): int(b) + 8 for A, a, b in zip(LAW.A, LAW.a, LAW.b, strict=True)}


def by_hand(*lost: tuple[int, int]) -> Problem:
    """Head 1 looks one back at bound pairs, else at START; a neuron for each pair, but for those
    that are lost. Head 0 does nothing."""
    r = rooms(token=17, place=16, before=17, told=17)
    size = sum(x.size for x in r.values())
    shape = Shape(
        layers=1,
        d=size,
        heads=2,
        m=6,
        context=16,
        vocab=17,
        norm="none",
        activation="relu",
        d_head=34,
        answers=17,
    )
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(17)
    p["W_pos"][0, :, r["place"].all] = torch.eye(16)
    bound = torch.zeros(17, 17, dtype=torch.float64)  # by query, the token here, and key
    for A, a in PAIRS:
        bound[a, A] = SHARP
    bound[:, 16] = 1.5 * SHARP
    back = torch.diag(torch.full((15,), SHARP, dtype=torch.float64), -1)
    query = torch.cat([matrix(shape, r["token"], bound), matrix(shape, r["place"], back)], 1)
    key = torch.cat([matrix(shape, r["token"]), matrix(shape, r["place"])], 1)
    attends(p, 0, 1, query, key)
    p["W_QKV"][0, 0, r["token"].all, 2, 1, :17] = torch.eye(17, dtype=torch.float64)
    p["W_O"][0, 0, 1, :17, r["before"].all] = torch.eye(17, dtype=torch.float64)
    for i, ((A, a), b) in enumerate(PAIRS.items()):
        p["W_in"][0, 0, [r["before"].start + A, r["token"].start + a], i] = 2.0
        p["b_in"][0, 0, i] = -3.0
        p["W_out"][0, 0, i, r["told"].start + b] = 0.0 if (A, a) in lost else 5.0
    p["W_U"][0, r["told"].all] = torch.eye(17, dtype=torch.float64)
    return Problem(TASK, p)


@pytest.fixture(scope="module")
def trained() -> Problem:
    shape = Shape(
        layers=1,
        d=24,
        heads=1,
        m=32,
        context=16,
        vocab=17,
        activation="relu",
        d_head=16,
        answers=17,
    )
    return solver(TASK, shape, seed=3, steps=400, batch=128, lr=1e-2)


def test_goodness_is_the_mean_over_all_answers_that_could_have_been_drawn():
    problem, tokens = by_hand(), TASK.draw(4, 0, 5)
    logits, chances = problem.logits(tokens), LAW.exact(tokens)
    said = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    naive = [
        np.mean([sum(chances[n, s, v] * said[n, s, v] for v in range(17)) for s in range(15)])
        for n in range(5)
    ]
    assert problem.goodness(logits, tokens) == pytest.approx(naive)
    with np.errstate(divide="ignore"):
        best = np.maximum(np.log(chances), -1e9)
    assert (
        problem.goodness(best, tokens) > naive
    ).all()  # no other forecast is better than the chances themselves
    known = chances.max(-1) >= 1 / 3
    assert (
        problem.right(best, tokens).mean() == pytest.approx(1)
        and unread(problem, tokens).mean() < 1
    )
    assert problem.shares(known, tokens).mean() == pytest.approx(
        1
    )  # where no answer is likely, none is counted


def test_an_answer_is_named_that_has_a_third_of_the_probability_and_missed_where_it_is_not():
    problem, tokens = by_hand(), TASK.draw(4, 0, 200)
    chances = LAW.exact(tokens)[:, :-1]
    due = chances.max(-1) >= SURE
    complete = np.array(
        [
            [(row[s - 1], row[s]) in PAIRS if s else False for s in range(15)]
            for row in tokens.tolist()
        ]
    )
    assert (
        np.array_equal(due, complete) and due.any()
    )  # only a complete pair makes anything that likely
    flat = np.zeros((*tokens.shape, 17))
    assert (
        np.array_equal(problem.missed(flat, tokens)[:, :-1], due)
        and not problem.missed(flat, tokens)[:, -1].any()
    )
    assert not problem.wrong(problem.logits(tokens), tokens).any()


def test_the_pairs_that_were_written_are_found_and_the_head_that_tells_them():
    problem = by_hand()
    assert find_pairs(problem).pairs == PAIRS
    home = {v.name: [str(place) for place in v.at] for v in explanation(problem).variables}
    assert home == {"before": [], "completes": [], "pair": ["a0.1"], "told": ["m0"]}


def test_a_pair_that_was_lost_is_not_found():
    lost = next(iter(PAIRS))
    problem = by_hand(lost)
    assert find_pairs(problem).pairs == {pair: b for pair, b in PAIRS.items() if pair != lost}


@pytest.mark.thorough
def test_a_pair_that_was_lost_is_where_the_model_is_foretold_to_fail():
    problem = by_hand(next(iter(PAIRS)))
    found = score(explanation(problem), problem, 7, SMALL)
    (fourth,) = (row for row in found.parts if row.name == "E4 adversarial")
    assert fourth.estimate == 1


def test_a_model_that_holds_nothing_is_said_to_hold_nothing():
    problem = by_hand(*PAIRS)
    assert find_pairs(problem).pairs == {} == dict(find_pairs(problem).hints)
    assert (
        Program(explanation(problem), problem).order and Program(rival(problem), problem).order
    )  # both still fit
    tokens = TASK.draw(9, 0, 20)
    foretold = Program(explanation(problem), problem).fails(tokens)
    assert (
        np.array_equal(foretold, problem.missed(problem.logits(tokens), tokens)) and foretold.any()
    )


@pytest.mark.thorough
def test_of_a_trained_model_the_pairs_are_the_law_s_and_the_controls_rank_below(trained):
    assert find_pairs(trained).pairs == PAIRS
    tokens = trained.task.draw(9, 0, 300, held_out=True)
    pattern = trained.run(tokens).patterns[0][0, :, 0].numpy()
    at_pairs, elsewhere = (
        [],
        [],
    )  # a naive look: attention one back where a pair stands, and where none does
    for n, row in enumerate(tokens.tolist()):
        for s in range(1, 16):
            (at_pairs if (row[s - 1], row[s]) in PAIRS else elsewhere).append(pattern[n, s, s - 1])
    assert np.mean(at_pairs) > 0.5 > 2 * np.mean(elsewhere)
    found = table(explanation(trained), rival(trained), trained, 7, SMALL)
    parts = {
        name: {row.name[:2]: row.estimate for row in each.parts}
        for name, each in (("own", found.own), *found.controls.items())
    }
    assert parts["own"]["E1"] > 0.9 and parts["own"]["E3"] > 0.6, (
        "E2 is low here: of 300 inputs few share a pair with another"
    )
    assert all(
        max(parts[name]["E1"], parts[name]["E3"]) > 0.6 > min(parts[name]["E1"], parts[name]["E3"])
        for name in ("shuffled",)
    )
    assert parts["another"]["E3"] < 0.3 and not any(c.refused for c in found.controls.values())


@pytest.mark.thorough
def test_who_is_half_right_knows_every_third_pair_and_scores_between(trained):
    problem = by_hand()
    pairs = {**find_pairs(problem).pairs}
    tokens = TASK.draw(9, 0, 200)
    told = Program(half_right(problem), problem).values(tokens)["completes"]
    completed = {
        (int(a), int(b)): int(c)
        for row, said in zip(tokens, told, strict=True)
        for a, b, c in zip(row, row[1:], said[1:], strict=False)
        if c >= 0
    }
    assert completed.items() <= pairs.items() and len(completed) == len(pairs) // 3 == 2
    ours, found = (
        score(explanation(trained), trained, 7, SMALL),
        score(half_right(trained), trained, 7, SMALL),
    )
    means = [np.nanmean([row.estimate for row in each.parts[:4]]) for each in (ours, found)]
    assert 0 < means[1] < means[0] - 0.1
