"""Digit sums explained: pairs, a carry and the circle are found as they were written by hand; of a
trained model the controls rank below."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from small_solvers import solver

from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify.score import Effort, score, table
from assay_catalogue.experiments.monthly_digit_sum import (
    carries,
    circle,
    digit_sum,
    explanation,
    find_views,
    half_right,
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

LOOKS = (
    {0: [0], 1: [1], 2: [2], 3: [0, 3], 4: [1, 4], 5: [0, 3], 6: [1, 4]},
    {0: [0], 1: [1], 2: [2], 3: [3], 4: [4], 5: [1, 4], 6: [6]},
)
"""By head and place, where a head of the first block looks."""


def by_hand(heard: bool) -> Problem:
    """Heads of the first block look where LOOKS says; of what head 1 reads, logits hear each digit,
    or nothing."""
    task = digit_sum(2)
    r = rooms(token=12, place=8, first=12, second=12)
    shape = Shape(
        layers=2,
        d=44,
        heads=2,
        m=0,
        context=task.length,
        vocab=12,
        norm="none",
        d_head=12,
        answers=12,
    )
    p = empty(shape)
    p["W_E"][0, :, r["token"].all] = torch.eye(12)
    p["W_pos"][0, :, r["place"].all] = torch.eye(8)
    for head, looks in enumerate(LOOKS):
        scores = torch.zeros(8, 8, dtype=torch.float64)
        for here, there in looks.items():
            scores[here, there] = SHARP
        attends(p, 0, head, matrix(shape, r["place"], scores), matrix(shape, r["place"]))
        moves(p, 0, head, r["token"], r["second" if head else "first"])
    if heard:
        p["W_U"][0, r["second"].all] = 20 * torch.eye(12, dtype=torch.float64)
    return Problem(task, p)


@dataclass(frozen=True, eq=False)
class Round(Problem):
    """A model whose logits are 7, 3, -1, -2, -2, -5 by how far a digit is from the right one, round
    a circle; the signs have 0."""

    def logits(self, tokens, params=None, **changed):
        digits = np.maximum(self.task.answer(tokens), 0)
        gap = np.abs(np.arange(10) - digits[..., None])
        by_distance = np.array([7.0, 3, -1, -2, -2, -5])[np.minimum(gap, 10 - gap)]
        return np.concatenate([by_distance, np.zeros((*digits.shape, 2))], -1)


@pytest.mark.parametrize("heard", [False, True])
def test_pairs_are_found_where_heads_look_and_a_carry_where_nothing_else_is_heard(heard):
    found = {(one.head, one.place): (one.pairs, one.carry) for one in find_views(by_hand(heard))}
    pair = {0: 0, 3: 0, 1: 1, 4: 1}
    naive = {
        (head, here): ({pair[x] for x in there if x in pair}, None)
        for head, looks in enumerate(LOOKS)
        for here, there in looks.items()
    }
    naive = {key: (tuple(pairs), carry) for key, (pairs, carry) in naive.items() if pairs}
    naive[1, 5] = ((1,), None if heard else 0)
    assert found == naive


def test_the_circle_is_the_one_that_logits_were_made_of():
    assert circle(Round(digit_sum(2), by_hand(True).params)) == pytest.approx(
        [7, 3, -1, -2, -2, -5], abs=1e-6
    )


def test_what_it_says_of_the_sum_is_right_and_the_rival_errs_exactly_where_there_is_a_carry():
    problem = by_hand(True)
    tokens = problem.task.draw(4, 0, 200, held_out=True)
    ours, theirs = (
        Program(make(problem), problem).values(tokens)["digit"][:, 5:7]
        for make in (explanation, rival)
    )
    right = problem.task.answer(tokens)[:, 5:7]
    assert np.array_equal(ours, right)
    assert np.array_equal(theirs != right, carries(tokens, 2) > 0)


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("head", [0, 1])
def test_the_digit_is_read_from_what_heads_see_and_changes_with_it(heard, head):
    """Head 0 sees the pair that is asked for; head 1 sees the units, or their carry, at '='."""
    problem = by_hand(heard)
    tokens = problem.task.draw(4, 0, 200, held_out=True)
    others = np.roll(tokens, 1, 0)
    program = Program(explanation(problem), problem)
    given = {f"seen{head}": program.values(others)[f"seen{head}"]}
    answers = program.values(tokens, given)["digit"][:, 5:7]
    for mine, theirs, answer in zip(tokens, others, answers, strict=True):
        pairs, carries_from = (theirs, mine) if head == 0 else (mine, theirs)
        carry = carries_from[1] + carries_from[4] > 9
        assert answer[0] == (pairs[0] + pairs[3] + carry) % 10
        assert answer[1] == (pairs[1] + pairs[4]) % 10
    assert (answers != problem.task.answer(tokens)[:, 5:7]).any()


def test_three_digits_carry_through():
    """A chain of carries: 095 + 005 = 100, and 099 + 001 = 100."""
    task = digit_sum(3)
    shape = Shape(
        layers=2,
        d=8,
        heads=1,
        m=0,
        context=task.length,
        vocab=12,
        norm="none",
        d_head=4,
        answers=12,
    )
    problem = Problem(task, empty(shape))
    tokens = np.stack(
        [
            task.read("0 9 5 + 0 0 5 = 1 0 0"),
            task.read("0 9 9 + 0 0 1 = 1 0 0"),
            task.read("1 2 3 + 4 5 6 = 5 7 9"),
        ]
    )
    assert np.array_equal(
        Program(explanation(problem), problem).values(tokens)["digit"][:, 7:10],
        task.answer(tokens)[:, 7:10],
    )


def test_who_is_half_right_carries_where_both_digits_are_five_or_more_and_is_right_about_the_rest():
    problem = by_hand(True)
    tokens = problem.task.draw(4, 0, 300, held_out=True)
    digits = Program(half_right(problem), problem).values(tokens)["digit"][:, 5:7]
    for row, (ten, unit) in zip(tokens, digits, strict=True):
        assert unit == (row[1] + row[4]) % 10
        assert ten == (row[0] + row[3] + (row[1] >= 5 and row[4] >= 5)) % 10
    right = np.mean(digits == problem.task.answer(tokens)[:, 5:7])
    assert 0.85 < right < 0.95  # one pair of units in five needs a carry and has one below five


def test_to_who_is_half_right_all_wrong_digits_are_alike():
    problem = Round(digit_sum(2), by_hand(True).params)
    tokens = problem.task.draw(4, 0, 20, held_out=True)
    for place in (5, 6):
        for row in Program(half_right(problem), problem).logits(tokens)[:, place, :10]:
            wrong = np.sort(row)[
                :-1
            ]  # 3, -1, -2, -2 on both sides of the digit, and -5 at the other end of the circle
            assert row.max() == 7 and wrong == pytest.approx([-1.0] * 9)


@pytest.mark.slow
def test_of_a_trained_model_every_part_is_good_and_the_controls_rank_below():
    task = digit_sum(2)
    shape = Shape(
        layers=2, d=48, heads=3, m=0, context=task.length, vocab=12, d_head=24, answers=12
    )
    problem = solver(task, shape, seed=5, steps=1500, batch=64, lr=5e-3)
    found = table(
        explanation(problem),
        rival(problem),
        problem,
        7,
        Effort(inputs=300, resamples=600, candidates=5_000),
    )
    assert found.own.quality.estimate > 0.5 and all(
        row.estimate > 0.4 for row in found.own.parts if not np.isnan(row.estimate)
    )
    assert all(c.quality.estimate < found.own.quality.low for c in found.controls.values())
    assert not any(c.refused for c in found.controls.values())
    half = score(half_right(problem), problem, 7, Effort(inputs=300, resamples=600))
    assert 0 < half.quality.estimate < found.own.quality.estimate - 0.1
