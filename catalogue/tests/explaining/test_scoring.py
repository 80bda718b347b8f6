"""Scores of explanations beside sklearn, naive loops and planted worlds where each side has to
win."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from assay_catalogue.explaining.rule import Positions
from assay_catalogue.explaining.scoring import (
    auroc,
    average_precision,
    balanced_accuracy,
    by_context,
    contexts,
    cut,
    detection,
    distinct,
    fuzzing,
    levels,
    lineup,
    logistic,
    logit_prediction,
    simulation,
)


def sample(seed=0, windows=30, s=64, keep=0.9):
    rng = np.random.default_rng(seed)
    at = Positions(rng.integers(0, 9, (windows, s)), rng.random((windows, s)) < keep)
    value = np.maximum(rng.normal(size=len(at)) - 1.5, 0)
    score = np.round(rng.normal(size=len(at)) + (value > 0), 1)
    return at, value, score


def test_distinct_values_are_what_sorting_finds():
    rng = np.random.default_rng(4)
    for x in (
        rng.integers(-3, 4, 500),
        np.round(rng.normal(size=500), 1),
        np.array([0.0, -0.0, 1.0]),
        np.zeros(0),
    ):
        values, at = distinct(x)
        wanted, rank = np.unique(x, return_inverse=True)
        assert np.array_equal(values, wanted) and np.array_equal(at, rank)


def test_levels_give_sklearns_numbers():
    _, value, score = sample()
    of = levels(score, value > 0)
    assert auroc(of) == pytest.approx(roc_auc_score(value > 0, score))
    assert average_precision(of) == pytest.approx(average_precision_score(value > 0, score))
    assert balanced_accuracy(of, 0.7) == pytest.approx(
        balanced_accuracy_score(value > 0, score >= 0.7)
    )
    every = [balanced_accuracy(of, at) for at in of.score]
    assert balanced_accuracy(of, cut(of)) == pytest.approx(max(every))
    for unit in (1, 1e-8, 1e-200, 1e8):
        assert simulation(score * unit, value * unit) == pytest.approx(
            np.corrcoef(score, value)[0, 1]
        ), unit
    assert simulation(np.full_like(score, 0.1) * 3, value) == 0.0


def test_what_nobody_answered_is_left_out_and_not_0():
    _, value, score = sample()
    known = np.random.default_rng(1).random(len(score)) < 0.5
    some = np.where(known, score, np.nan)
    assert auroc(levels(some, value > 0)) == pytest.approx(
        roc_auc_score(value[known] > 0, score[known])
    )
    assert simulation(some, value) == pytest.approx(np.corrcoef(score[known], value[known])[0, 1])
    assert np.isnan(auroc(levels(np.full(5, np.nan), np.ones(5, bool))))


def test_contexts_are_what_a_loop_says():
    at, value, score = sample(windows=7, s=50, keep=0.1)
    greatest = by_context(at, score)
    assert len(greatest) == 14
    for window in range(7):
        for part in range(2):
            inside = [
                i for i, row in enumerate(at.row) if row // 50 == window and row % 50 // 32 == part
            ]
            found = greatest[2 * window + part]
            assert found == max(score[inside]) if inside else np.isnan(found)
    told = contexts(at, score, value)
    assert told.fires.sum() + told.silent.sum() == np.isfinite(greatest).sum()


def test_a_perfect_explanation_scores_1_and_an_empty_one_a_half():
    at, value, _ = sample(windows=60, keep=0.3)
    value = np.where(np.random.default_rng(9).random(len(at)) < 0.03, 1.0, 0.0)
    for score, wanted in ((value, 1.0), (np.zeros(len(at)), 0.5)):
        at_tokens, at_contexts = cut(levels(score, value > 0)), cut(contexts(at, score, value))
        assert detection(score, value, at, at_contexts) == wanted
        assert fuzzing(score, value, at, at_tokens, seed=0) == wanted


def test_fuzzing_takes_as_many_of_each_kind_from_every_context():
    at, value, _ = sample(windows=5, s=64, keep=1.0)
    value = np.zeros(len(at))
    value[[0, 1, 2, 70, 130, 131]] = (
        1  # three in the first context, one in the third, two in the fifth
    )
    seen = []
    import assay_catalogue.explaining.scoring as module

    def spy(score, fires):
        seen.append((score, fires))
        return levels(score, fires)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "levels", spy)
        fuzzing(np.arange(len(at), dtype=float), value, at, 0.0, seed=3)
    ((rows, fires),) = seen
    context = rows.astype(int) // 32
    assert {
        c: (int(fires[context == c].sum()), int((~fires[context == c]).sum())) for c in set(context)
    } == {0: (3, 3), 2: (1, 1), 4: (2, 2)}


def test_the_lineup_shares_the_point_between_equals():
    tokens, foils = [(1, 2), (3, 4), (1, 9)], np.array([[1, 2], [0, 2], [0, 1]])
    steered = [np.array([1, 5]), np.array([3, 4]), np.array([7, 8])]
    assert lineup(tokens, steered, foils).tolist() == [0.5, 1.0, 1 / 3]


def test_named_tokens_are_found_by_their_weights():
    weights = np.arange(10.0)
    assert logit_prediction([9, 8], weights) == 1.0
    assert logit_prediction([0], weights) == 0.0
    assert np.isnan(logit_prediction([], weights))


def test_the_regression_on_levels_is_sklearns_on_rows():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (3000, 2)).astype(float)
    y = rng.random(3000) < 1 / (1 + np.exp(2 - x[:, 0] - 0.5 * x[:, 1]))
    cells, at = np.unique(x, axis=0, return_inverse=True)
    fires = np.bincount(at.ravel(), y, minlength=len(cells))
    found = logistic(
        cells, fires, np.bincount(at.ravel(), minlength=len(cells)) - fires, ridge=1e-9
    )
    known = LogisticRegression(C=1e9, tol=1e-10, max_iter=500).fit(x, y)
    np.testing.assert_allclose(found, [*known.coef_[0], known.intercept_[0]], atol=1e-4)
    kept = logistic(
        np.array([[0.0], [1.0]]), np.array([0.0, 5.0]), np.array([5.0, 0.0])
    )  # told apart perfectly, and yet finite
    assert np.isfinite(kept).all() and kept[0] > 1
