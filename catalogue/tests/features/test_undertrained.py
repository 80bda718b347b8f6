"""Indicators of tokens hardly trained, by hand; and what finds them, against counting by loops."""

from __future__ import annotations

import numpy as np
import pytest

from assay_catalogue.features.undertrained import (
    INDICATORS,
    auroc_low,
    growth,
    indicators,
    precision_recall,
    repetition,
)

ROWS = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])


def test_a_matrix_by_hand():
    found = indicators(ROWS, np.array([0]))
    assert tuple(found) == INDICATORS
    np.testing.assert_allclose(found["norm"], [1, 1, 5])
    np.testing.assert_allclose(found["distance"], [0, 1.414214, 4.472136], atol=1e-6)
    np.testing.assert_allclose(found["cosine"], [0, 1, 0.4], atol=1e-12)
    mean = ROWS.mean(0)
    centred = ROWS - mean
    wanted = [
        1 - row @ centred[0] / np.linalg.norm(row) / np.linalg.norm(centred[0]) for row in centred
    ]
    np.testing.assert_allclose(found["cosine, no mean"], wanted, atol=1e-12)


def test_the_first_component_is_that_of_the_centred_rows():
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(0).normal(2.0, 1.0, (40, 5)) * [5, 1, 1, 1, 1]
    first = PCA(n_components=1).fit(rows).components_[0]
    stripped = rows - np.outer(rows @ first, first)
    reference = stripped[[3, 7]].mean(0)
    wanted = 1 - stripped @ reference / (
        np.linalg.norm(stripped, axis=1) * np.linalg.norm(reference)
    )
    np.testing.assert_allclose(
        indicators(rows, np.array([3, 7]))["cosine, no first component"], wanted, atol=1e-9
    )


def test_auroc_is_the_share_of_pairs_in_order():
    draw = np.random.default_rng(1)
    score = draw.integers(6, size=(3, 30)).astype(float)
    low, rest = draw.random((3, 30)) < 0.3, draw.random((3, 30)) < 0.6
    rest &= ~low
    for r in range(3):
        pairs = [(a < b) + 0.5 * (a == b) for a in score[r][low[r]] for b in score[r][rest[r]]]
        assert auroc_low(score, low, rest)[r] == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc_low(score, np.zeros((3, 30), bool), rest)).all()


def test_planted_tokens_are_found_with_the_precision_and_recall_that_they_have():
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.0])
    wanted, asked = np.array([1, 0, 1, 0, 1, 1], bool), np.array([1, 1, 1, 1, 1, 0], bool)
    assert precision_recall(score, wanted, asked, 3) == (pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_growth_finds_a_planted_power_and_what_scatter_leaves_of_its_correlation():
    draw = np.random.default_rng(2)
    number = np.repeat([1, 4, 16, 64, 256], 400)
    exact = 0.03 * number**0.7
    noisy = exact * np.exp(
        0.7 * np.log(number).std() * draw.standard_normal(number.size)
    )  # as much scatter as there is signal
    (r, scattered, none), (power, steep, _) = growth(
        np.stack([exact, noisy, np.exp(draw.standard_normal(number.size))]), number
    )
    assert (r, power) == (pytest.approx(1), pytest.approx(0.7))
    assert (scattered, steep) == (
        pytest.approx(0.5**0.5, abs=0.03),
        pytest.approx(0.7, abs=0.05),
    ) and abs(none) < 0.08
    assert scattered == pytest.approx(np.corrcoef(np.log(number), np.log(noisy))[0, 1])


def test_growth_of_tokens_in_perfect_order_differs_from_seed_to_seed_where_ranks_end_at_one_number():  # noqa: E501
    from scipy.stats import spearmanr

    number, draw = np.repeat([1, 4, 16, 64, 256], 8), np.random.default_rng(3)
    score = number * np.exp(0.1 * draw.standard_normal((6, 40)))
    assert (
        len({round(spearmanr(number, s)[0], 9) for s in score}) == 1
        and len({round(r, 9) for r in growth(score, number)[0]}) == 6
    )


def test_repetition_asks_for_one_more_of_each():
    def next_token(prompts):
        assert (prompts == prompts[:, :1]).all() and prompts.shape == (4, 12)
        return np.stack([np.eye(6)[prompts[:, 0]] * 0.5, np.full((4, 6), 1 / 6)])

    np.testing.assert_allclose(
        repetition(next_token, np.array([0, 2, 3, 5])), [[0.5] * 4, [1 / 6] * 4]
    )
