"""Palindromes explained: the pulls that are found in a model are those that were written into it,
and in a trained one heads look where they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_solvers import SMALL, recovered, solver

from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import controls
from assay_catalogue.circuits.verify.score import score
from assay_catalogue.experiments.monthly_palindromes import (
    Pulls,
    explanation,
    find_confusions,
    half_right,
    palindromes,
    pulls,
    rival,
)
from assay_catalogue.worlds.algorithms.built.circuit import (
    SHARP,
    attends,
    empty,
    matrix,
    moves,
    rooms,
)

WEIGHTS = (-1.5, 0.5, 1.0)
"""What the tokens weigh in the model that was written; START and END count apart."""


def by_hand(weights: tuple[float, ...] = WEIGHTS) -> Problem:
    """A model of lists of four: head 0 weighs the outer pair at END, head 1 the inner one at its
    second place; block 1 does nothing."""
    task = palindromes(2, len(weights))
    v, s = len(weights) + 2, task.length
    r = rooms(token=v, place=s, found=s)
    shape = Shape(
        layers=2,
        d=v + 2 * s,
        heads=2,
        m=0,
        context=s,
        vocab=v,
        norm="none",
        d_head=v + s,
        answers=2,
    )
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(v)
    p["W_pos"][0, :, r["place"].all] = torch.eye(s)
    for head, here, places in ((0, s - 1, (1, 4)), (1, 3, (2, 3))):
        query = torch.zeros(s, 3, dtype=torch.float64)
        query[here, :2] = 1
        query[[i for i in range(s) if i != here], 2] = 1  # elsewhere it looks at START
        keys = torch.zeros(s + v, 3, dtype=torch.float64)
        keys[list(places), 0] = keys[0, 2] = float(SHARP)
        keys[s : s + len(weights), 1] = torch.tensor(weights, dtype=torch.float64)
        both = matrix(shape, r["place"], keys[:s]) + matrix(shape, r["token"], keys[s:])
        attends(p, 0, head, matrix(shape, r["place"], query), both)
        moves(p, 0, head, r["place"], r["found"])
    return Problem(task, p)


@pytest.fixture(scope="module")
def trained() -> Problem:
    task = palindromes(2, 4)
    shape = Shape(layers=2, d=24, heads=2, m=0, context=task.length, vocab=6, d_head=12, answers=2)
    return solver(task, shape, seed=3, steps=600, batch=128, lr=5e-3)


def told(found: tuple[Pulls, ...], head: int, place: int) -> Pulls:
    (one,) = (x for x in found if (x.head, x.place) == (head, place))
    return one


def test_the_pulls_are_those_that_were_written():
    found = pulls(by_hand())
    for head, place, pair in ((0, 5, (1, 4)), (1, 3, (2, 3))):
        one = told(found, head, place)
        assert np.allclose(
            one.tokens, WEIGHTS, atol=0.11
        )  # they sum to 0, as fitted ones do; both are rounded to tenths
        assert tuple(one.places) == pair and abs(one.places[pair[0]] - one.places[pair[1]]) < 0.11


def test_a_head_that_weighs_all_tokens_alike_finds_no_pull_of_a_token():
    found = pulls(by_hand((0.0, 0.0, 0.0)))
    assert all(abs(w) < 0.11 for one in found for w in one.tokens)


def test_a_model_that_calls_everything_a_palindrome_takes_all_tokens_for_equal():
    problem = by_hand()
    problem.params["W_U"][0, 4, 1] = 1.0  # END stands in room 4 of the tokens
    assert len(find_confusions(problem)) == 2 * 3 * 2  # pairs, first tokens, other second tokens
    assert find_confusions(by_hand()) == ()
    program = Program(explanation(problem), problem)
    tokens = problem.task.draw(9, 0, 200, held_out=True)
    assert np.array_equal(
        program.fails(tokens)[:, -1] != 0, problem.task.answer(tokens)[:, -1] == 0
    )


def test_what_heads_write_goes_with_the_token_they_look_at_and_which_pairs_differ():
    """Told apart list by list, in a model that was written: which place pulls most, what stands
    there, and which pairs are no pairs."""
    problem = by_hand()
    tokens = problem.task.draw(9, 0, 200, held_out=True)
    values = Program(explanation(problem), problem).values(tokens)
    for row, list_ in enumerate(tokens):
        for head, place, pair in ((0, 5, (1, 4)), (1, 3, (2, 3))):
            weights = [WEIGHTS[list_[at]] for at in pair]
            if weights[0] != weights[1]:
                look = pair[int(np.argmax(weights))]
                assert (
                    values[f"look{head}_{place}"][row, place] == look
                    and values[f"seen{head}_{place}"][row, place] == list_[look]
                )
        assert values["differ"][row, -1] == (list_[1] != list_[4]) + 2 * (list_[2] != list_[3])
        of_no_other = [
            r
            for r in range(len(tokens))
            if values["balance0"][r, -1] == values["balance0"][row, -1]
        ]
        assert all(
            tokens[r][int(values["look0_5"][r, -1])] == list_[int(values["look0_5"][row, -1])]
            for r in of_no_other
        )


@pytest.mark.thorough
def test_tokens_tell_where_a_trained_model_looks_and_places_alone_tell_less(trained):
    """The pulls leave out what the token of the own place does, so they miss some; a guess that
    knows no tokens misses more."""
    tokens = trained.task.draw(9, 0, 400, held_out=True)
    pattern = trained.run(tokens).patterns[0][0].double().numpy()
    values = Program(explanation(trained), trained).values(tokens)
    hits: list[bool] = []
    guessed: list[bool] = []
    for one in pulls(trained):
        two = np.sort(pattern[:, one.head, one.place], -1)[:, -2:]
        clear = two[:, 1] > 2 * two[:, 0]
        most = pattern[:, one.head, one.place].argmax(-1)[clear]
        hits += list(values[f"look{one.head}_{one.place}"][clear, one.place] == most)
        guessed += list(most == np.bincount(most).argmax()) if len(most) else []
    assert len(hits) > 100 and np.mean(hits) > np.mean(guessed) + 0.1, (
        np.mean(hits),
        np.mean(guessed),
    )


@pytest.mark.thorough
def test_tokens_that_are_taken_for_equal_are_so_in_every_list(trained):
    """All spoilt palindromes there are: two places on either side, four values."""
    rate = {}
    for k in range(2):
        for a in range(4):
            for b in set(range(4)) - {a}:
                lists = np.array([[4, x, y, y, x, 5] for x in range(4) for y in range(4)])
                lists[:, 1 + k], lists[:, 4 - k] = a, b
                lists = np.unique(lists, axis=0)
                rate[k, a, b] = trained.wrong(trained.logits(lists), lists).mean()
    named = find_confusions(trained)
    assert all(rate[case] > 0.2 for case in named)
    assert {case for case, x in rate.items() if x > 0.8} <= {*named}


@pytest.mark.thorough
def test_controls_rank_below(trained):
    ours = explanation(trained)
    own = score(ours, trained, 7, SMALL)
    assert recovered(own) > 0.3
    for other in (rival(trained), controls.shuffled(ours, trained, 7), controls.empty(ours)):
        beside = score(other, trained, 7, SMALL)
        assert not beside.refused and recovered(beside) < recovered(own) - 0.2


@pytest.mark.thorough
def test_who_is_half_right_counts_pairs_that_differ_by_more_than_one_and_scores_between(trained):
    half, tokens = half_right(trained), trained.task.draw(9, 0, 300, held_out=True)
    program = Program(half, trained)
    many = program.values(tokens)["many"][:, -1]
    assert many.tolist() == [
        sum(abs(int(row[1 + k]) - int(row[4 - k])) > 1 for k in range(2)) for row in tokens
    ]
    lines = program.logits(tokens)[:, -1]
    steps = [lines[many == k].mean(0) for k in range(3)]
    assert (
        np.allclose(steps[2] - steps[1], steps[1] - steps[0]) and steps[0][1] > steps[2][1]
    )  # the more differ, the less a palindrome
    unsure = Problem(
        trained.task, {**trained.params, "W_U": 0.2 * trained.params["W_U"]}
    )  # of four values many are neighbours: errors cost less
    ours, found = (
        score(explanation(unsure), unsure, 7, SMALL),
        score(half_right(unsure), unsure, 7, SMALL),
    )
    assert 0 < recovered(found) <= recovered(ours)
    assert found.parts[2].estimate < ours.parts[2].estimate - 0.1  # E3
