"""Caesar explained: votes that were written into logits are found again, and what a naive count of
attention and letters says is what is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_solvers import SMALL, solver

from assay.subjects.decoder import Shape
from assay_catalogue.circuits.problem import Problem
from assay_catalogue.circuits.program import Program
from assay_catalogue.circuits.verify import controls
from assay_catalogue.circuits.verify.score import score
from assay_catalogue.experiments.monthly_caesar import (
    LETTERS,
    ahead,
    evidence,
    explanation,
    gathered,
    half_right,
    rival,
    votes,
    weakest,
)
from assay_catalogue.worlds.algorithms.caesar import caesar, commonest


class Voting(Problem):
    """A model whose logits are the mean of votes of letters that were written down."""

    vote = np.random.default_rng(4).normal(size=(3, LETTERS)).round(2)

    def logits(self, tokens, params=None, **changed):
        """Loops over texts, places and shifts."""
        out = np.zeros((*tokens.shape, LETTERS))
        for n, text in enumerate(tokens):
            for shift in range(LETTERS):
                total = 0.0
                for i, letter in enumerate(text):
                    total += 0.0 if i % 4 == 3 else self.vote[i % 4, (letter - shift) % LETTERS]
                    out[n, i, shift] = total / (i // 4 + 1)
        return out


def shape(length: int) -> Shape:
    return Shape(layers=2, d=24, heads=2, m=0, context=length, vocab=27, d_head=12, answers=LETTERS)


@pytest.fixture(scope="module")
def trained() -> Problem:
    task = caesar(commonest(), 12)
    sizes = shape(task.length)
    return solver(task, sizes, seed=3, steps=400, batch=64, lr=1e-2)


@pytest.mark.thorough
def test_votes_that_logits_are_made_of_are_found_up_to_what_is_the_same_for_all_shifts(trained):
    made = Voting(trained.task, trained.params)
    found = votes(made)
    wanted = made.vote - made.vote.mean(1, keepdims=True)
    assert np.allclose(found - found.mean(1, keepdims=True), wanted, atol=0.011)
    tokens = made.task.draw(9, 0, 20, held_out=True)
    assert np.allclose(evidence(tokens.astype(float), made.vote), made.logits(tokens))


@pytest.mark.thorough
def test_votes_that_do_not_know_places_are_the_same_for_all(trained):
    found = votes(trained, per_slot=False)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.thorough
def test_another_shift_is_ahead_by_the_difference_of_its_votes(trained):
    tokens = trained.task.draw(9, 0, 30, held_out=True)
    vote = votes(trained)
    exact = trained.task.chances(tokens)
    given = evidence(tokens.astype(float), vote)
    wanted = np.zeros(tokens.shape)
    for n, s in np.ndindex(*tokens.shape):
        if exact[n, s].max() >= 0.25:
            wanted[n, s] = max(given[n, s]) - given[n, s, exact[n, s].argmax()]
    assert np.allclose(ahead(trained, tokens.astype(float), vote), wanted)
    assert weakest(trained, vote) >= 0


def test_a_model_that_attends_evenly_gathers_every_letter_of_a_word():
    sizes = shape(12)
    even = Problem(
        caesar(commonest(), 12),
        {name: torch.zeros(1, *size) for name, size in sizes.parameters().items()},
    )
    assert (
        gathered(even) == (((0,), (0, 1), (0, 1, 2), (0, 1, 2, 3)),) * 2
    )  # at the last place of a word each draws a quarter


@pytest.mark.thorough
def test_its_words_are_numbers_for_the_letters_so_far(trained):
    ours = explanation(trained)
    tokens = trained.task.draw(9, 0, 50, held_out=True)
    values = Program(ours, trained).values(tokens)
    for s in range(12):
        for j in range(s % 4 + 1):
            assert np.array_equal(values[f"letter{j}"][:, s], tokens[:, s - s % 4 + j])
    assert np.array_equal(
        values["guess"], evidence(tokens.astype(float), votes(trained)).argmax(-1)
    )


@pytest.mark.thorough
def test_controls_rank_below(trained):
    ours = explanation(trained)
    own = score(ours, trained, 7, SMALL)
    e1, e2, e3, e4, short = (row.estimate for row in own.parts)
    recovered = {row.name: row.estimate for row in own.details}["E2 recovered"]
    assert (e1 * recovered * e3 * e4) ** 0.25 * short > 0.4
    assert (
        0 < e2 < 0.4 and own.parts[1].why
    )  # letters of a word are hardly ever shared, and no answer is foretold from them
    for other in (rival(trained), controls.shuffled(ours, trained, 7), controls.empty(ours)):
        beside = score(other, trained, 7, SMALL)
        assert not beside.refused and beside.quality.high < own.quality.low


@pytest.mark.thorough
def test_to_who_is_half_right_last_letters_of_words_alone_have_a_vote_and_it_scores_between(
    trained,
):
    half, vote = half_right(trained), votes(trained)
    tokens = trained.task.draw(9, 0, 20, held_out=True)
    given = Program(half, trained).logits(tokens)
    for n, text in enumerate(tokens):
        for shift in range(LETTERS):
            total = sum(vote[2, (letter - shift) % LETTERS] for letter in text[2::4])
            assert given[n, -1, shift] == pytest.approx(total / 3)
    ours, found = score(explanation(trained), trained, 7, SMALL), score(half, trained, 7, SMALL)
    # Quality is the least part, and few inputs share a letter's place with another: what tells them
    # apart is the mean.
    means = [np.nanmean([row.estimate for row in each.parts[:4]]) for each in (ours, found)]
    assert 0 < means[1] < means[0] - 0.05
