"""The planted text: what depends on the subject does so as often as asked, by counting, and nothing
else does."""

import numpy as np
import pytest

from assay_catalogue.data.planted_domains import PLACE, SENTENCE, planted_domains

WINDOWS = 2000


def places(planted, j):
    """(window, place, subject) of every sentence about feature j's token, by reading the text."""
    windows, s = planted.tokens.shape
    return [
        (w, p, bool(planted.in_context[j, w, p]))
        for w in range(windows)
        for p in range(PLACE, s, SENTENCE)
        if planted.tokens[w, p] == planted.own[j]
    ]


@pytest.mark.parametrize("marked", [False, True])
def test_what_comes_next_and_what_stands_before_depend_on_the_subject_as_asked(marked):
    planted = planted_domains(
        5, 0, WINDOWS, features=4, share=0.3, inside=0.8, outside=0.1, marked=marked
    )
    follows = {True: [], False: []}
    mark_before = {True: [], False: []}
    for j in range(4):
        mark = 100 + 4 + j
        for w, p, subject in places(planted, j):
            follows[subject].append(planted.tokens[w, p + 1] in planted.follows[j])
            mark_before[subject].append(mark in planted.tokens[w, p - PLACE : p])
    share = len(follows[True]) / (WINDOWS * 10)
    assert share == pytest.approx(0.3, abs=0.015)  # four standard errors of 20,000 draws: .013
    assert np.mean(follows[True]) == pytest.approx(0.1 if marked else 0.8, abs=0.03)
    assert np.mean(follows[False]) == pytest.approx(0.1, abs=0.02)
    assert all(mark_before[True]) == marked and not any(mark_before[False])


def test_the_three_kinds_of_features_fire_where_they_should():
    planted = planted_domains(1, 0, 200, features=3)
    for j in range(3):
        here = planted.tokens == planted.own[j]
        assert np.array_equal(planted.on_token[j], here)
        assert not (planted.in_context[j] & ~here).any()
        whole = planted.on_context[j].reshape(200, -1, SENTENCE)
        assert np.array_equal(whole.all(2), whole.any(2))  # sentences as a whole
        assert np.array_equal(
            whole[:, :, PLACE], planted.in_context[j].reshape(200, -1, SENTENCE)[:, :, PLACE]
        )
    assert 0 < planted.in_context.sum() < planted.on_token.sum()


def test_parts_of_a_seed_share_meanings_and_no_text():
    one, other, again = (planted_domains(7, part, 50) for part in (0, 1, 0))
    assert np.array_equal(one.follows, other.follows) and np.array_equal(one.own, other.own)
    assert not np.array_equal(one.tokens, other.tokens)
    assert np.array_equal(one.tokens, again.tokens) and np.array_equal(
        one.in_context, again.in_context
    )
