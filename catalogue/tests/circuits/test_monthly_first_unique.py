"""First unique explained: the letters that heads read and answer for are those that a naive look
gives, and controls rank below."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_solvers import SMALL, recovered, solver

from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import controls
from assay_catalogue.circuits.verify.interchange import foretold
from assay_catalogue.circuits.verify.score import score
from assay_catalogue.experiments.monthly_first_unique import (
    counted,
    explanation,
    first_unique,
    half_right,
    margin,
    rival,
    shared,
)


@pytest.fixture(scope="module")
def trained() -> Problem:
    task = first_unique(3, 7)
    shape = Shape(layers=2, d=24, heads=2, m=0, context=task.length, vocab=4, d_head=12, answers=4)
    return solver(task, shape, seed=3, steps=500, batch=128, lr=5e-3)


@pytest.mark.thorough
def test_its_steps_give_the_task_s_answers_on_every_sequence(trained):
    task = trained.task
    tokens = np.array([[3, *np.unravel_index(i, (3,) * 6)] for i in range(3**6)])
    values = Program(explanation(trained), trained).values(tokens)
    assert np.array_equal(values["unique"], task.answer(tokens))
    assert np.array_equal(values["often_b"], np.cumsum(tokens == 1, 1))


@pytest.mark.thorough
def test_a_head_of_the_second_block_tells_the_answer_only_where_it_is_a_letter_of_its_own(trained):
    """Told apart place by place: equal numbers are equal states of the head's letters and, where it
    is one of them, the same answer."""
    tokens = trained.task.draw(9, 1, 150, held_out=True)
    answers, values = (
        trained.task.answer(tokens),
        Program(explanation(trained), trained).values(tokens),
    )
    for head, own in enumerate(shared(trained)):
        if own:
            seen: dict[tuple, float] = {}
            for row, answer, said in zip(tokens, answers, values[f"said{head}"], strict=True):
                for at in range(1, len(row)):
                    often = tuple(min(list(row[: at + 1]).count(k), 2) for k in own)
                    seen.setdefault(
                        (int(answer[at]) if answer[at] in own else None, often), said[at]
                    )
                    assert said[at] == seen[(int(answer[at]) if answer[at] in own else None, often)]
            assert len({*seen.values()}) == len(seen)


@pytest.mark.thorough
def test_the_answer_is_read_from_what_heads_say_and_changes_with_it(trained):
    """A head says what it does on another input: the answer there, if that is a letter of its own.
    The least letter said is the answer."""
    tokens = trained.task.draw(9, 2, 150, held_out=True)
    others = np.roll(tokens, 1, 0)
    here, there = (trained.task.answer(x)[:, 1:] for x in (tokens, others))
    letters, program = shared(trained), Program(explanation(trained), trained)
    theirs, plain = program.values(others), foretold(program, tokens, {})[:, 1:]
    assert {0, 1, 2} == {k for x in letters for k in x} and np.array_equal(plain, here)
    for head, mine in enumerate(letters):
        if mine:
            given = {f"said{head}": theirs[f"said{head}"]}
            words = [
                (there[i, j] if i_head == head else here[i, j], x)
                for i, j in np.ndindex(*here.shape)
                for i_head, x in enumerate(letters)
            ]
            said = np.array([k if k in x else 3 for k, x in words]).reshape(*here.shape, -1)
            named = said.min(-1)
            assert np.array_equal(program.values(tokens, given)["named"][:, 1:], named)
            changed = foretold(program, tokens, given)[:, 1:] != plain
            assert changed.any() and not changed[named == here].any()


@pytest.mark.thorough
def test_a_head_reads_the_letters_that_draw_its_attention(trained):
    """Loops over sequences, places and letters, where the code has sums."""
    tokens = trained.task.draw(2000, 0, 2000, held_out=True)[:400]
    pattern = trained.run(tokens).patterns[0][0].double().numpy()
    for head, own in enumerate(counted(trained)):
        for k in range(3):
            most = 0.0
            for q in {0, 1, 2} - {k}:
                drawn = [
                    sum(pattern[n, head, i, j] for j in range(i) if row[j] == k)
                    for n, row in enumerate(tokens)
                    for i in range(1, 7)
                    if row[i] == q and k in row[:i]
                ]
                most = max(most, float(np.mean(drawn)))
            if abs(most - 0.1) > 0.02:  # fewer sequences than the code looks at
                assert (k in own) == (most > 0.1)


@pytest.mark.thorough
def test_a_letter_is_the_business_of_the_heads_without_which_its_logit_falls(trained):
    """Heads are taken out one by one, by their mean: the one whose loss costs a letter most is
    among those it is said to belong to."""
    tokens = trained.task.draw(9, 0, 600, held_out=True)
    answers = trained.task.answer(tokens)
    whole = trained.logits(tokens)
    wrote = trained.run(tokens).wrote
    said = shared(trained)
    heads = [part for part in wrote if part.kind == "head" and part.layer == 1]
    for k in range(3):
        at = answers == k
        lost = []
        for part in heads:
            mean = wrote[part].mean(1, keepdim=True)
            without = trained.logits(tokens, written={part: lambda x, mean=mean: mean.expand_as(x)})
            lost.append(((whole - without)[..., k] - (whole - without).mean(-1))[at].mean())
        assert k in said[int(np.argmax(lost))]


@pytest.mark.thorough
def test_the_margin_of_logits_that_are_made_is_theirs(trained):
    made = Problem(trained.task, {**trained.params, "W_U": torch.zeros_like(trained.params["W_U"])})
    assert margin(made) == pytest.approx(0)


@pytest.mark.thorough
def test_controls_rank_below(trained):
    ours = explanation(trained)
    own = score(ours, trained, 7, SMALL)
    parts = {row.name: row.estimate for row in (*own.parts, *own.details)}
    assert parts["E2 recovered"] > 0.4 and parts["E3 implementation"] > 0.5
    assert "no answer is predicted" not in own.parts[1].why
    for other in (rival(trained), controls.shuffled(ours, trained, 7), controls.empty(ours)):
        beside = score(other, trained, 7, SMALL)
        assert not beside.refused and beside.quality.estimate <= own.quality.estimate
        assert {row.name: row.estimate for row in beside.details}["E2 recovered"] < parts[
            "E2 recovered"
        ] - 0.2


@pytest.mark.thorough
def test_who_is_half_right_names_the_last_letter_that_came_once_and_scores_between(trained):
    tokens = trained.task.draw(9, 0, 150, held_out=True)
    half = half_right(trained)
    named = Program(half, trained).values(tokens)["unique"]
    for row, found in zip(tokens, named, strict=True):
        for at in range(1, len(row)):
            letters = [x for x in row[1 : at + 1] if list(row[1 : at + 1]).count(x) == 1]
            assert found[at] == (letters[-1] if letters else 3)
    scores = [score(e, trained, 7, SMALL) for e in (explanation(trained), half)]
    ours, found = ([row.estimate for row in one.parts] for one in scores)
    assert found[0] == pytest.approx(ours[0], abs=0.01)  # E1
    assert 0 < recovered(scores[1]) <= recovered(scores[0])
    assert 0 < found[2] < ours[2] - 0.3  # E3
