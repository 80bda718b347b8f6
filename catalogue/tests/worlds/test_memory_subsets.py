"""Memorisation of planted documents: the closed formula, its table, and what the estimator
gives."""

import itertools
import math

import numpy as np
import pytest

from assay.core.errors import SpecError
from assay_catalogue.worlds.memory import closed, subsets

COPIES = (1, 2, 4, 8, 16, 32)
TABLE = {
    0.5: (2.21557, 1.35403, 0.57783, 0.17903, 0.05367, 0.01567),
    0.25: (2.21557, 1.78480, 1.18098, 0.56441, 0.18678, 0.05478),
}


def loss(kept, alpha=0.1, symbols=50):
    """What the counting model loses on a document with a context of its own, of which these copies
    are kept [model copy]."""
    seen = kept.sum(1)
    return -np.log((seen + alpha) / (seen + alpha * symbols))


@pytest.mark.parametrize("rate", TABLE)
def test_the_formula_gives_the_table(rate):
    np.testing.assert_allclose(
        [closed.one_of(k, rate, 0.1, 50) for k in COPIES], TABLE[rate], atol=6e-6
    )
    assert closed.one_of(1, rate, 0.1, 50) == pytest.approx(math.log(1.1 * 50 / 6))


@pytest.mark.parametrize("k", range(1, 13))
def test_the_formula_is_the_mean_over_all_subsets(k):
    assert closed.one_of(k, 0.3, 0.1, 50) == pytest.approx(
        closed.one_of_by_enumeration(k, 0.3, 0.1, 50), abs=1e-12
    )


def test_the_enumeration_is_a_plain_loop_over_subsets():
    sides = {0: [], 1: []}
    for kept in itertools.product((0, 1), repeat=3):
        sides[kept[0]].append(loss(np.array([kept]), 0.5, 7)[0])
    assert closed.one_of_by_enumeration(3, 0.5, 0.5, 7) == pytest.approx(
        np.mean(sides[0]) - np.mean(sides[1])
    )


def standard_error(losses, kept):
    """Of the difference of the means of two independent samples."""
    return math.sqrt(sum(x.var(ddof=1) / len(x) for x in (losses[kept], losses[~kept])))


@pytest.mark.parametrize("rate", TABLE)
@pytest.mark.parametrize(("place", "k"), enumerate(COPIES))
def test_the_estimator_finds_the_table_within_three_standard_errors(rate, place, k):
    kept = subsets.balanced(k, 20_000, k, rate)
    losses = np.repeat(loss(kept)[:, None], k, 1)
    found, error = subsets.memorisation(losses, kept)[0], standard_error(losses[:, 0], kept[:, 0])
    assert abs(found - TABLE[rate][place]) <= max(3 * error, 6e-6)


def test_where_nothing_was_trained_on_nothing_is_memorised():
    kept = subsets.balanced(1, 400, 60, 0.25)
    losses = np.random.default_rng(2).normal(3, 0.5, kept.shape)
    error = 0.5 * math.sqrt(1 / 100 + 1 / 300)
    assert abs(subsets.memorisation(losses, kept).mean()) <= 2 * error / math.sqrt(60)


def test_exchanged_labels_find_nothing_where_there_is_much():
    kept = subsets.balanced(3, 128, 60, 0.5)
    losses = 4 - 2.0 * kept + np.random.default_rng(4).normal(0, 0.1, kept.shape)
    assert subsets.memorisation(losses, kept).mean() == pytest.approx(2, abs=0.01)
    other = subsets.exchanged(3, kept)
    assert (other.sum(0) == kept.sum(0)).all() and abs(
        subsets.memorisation(losses, other).mean()
    ) < 0.1


@pytest.mark.parametrize(("models", "rate"), [(12, 0.5), (400, 0.25)])
def test_every_document_is_in_as_many_models_and_independent_of_the_others(models, rate):
    kept = subsets.balanced(0, models, 300, rate)
    assert (kept.sum(0) == rate * models).all()
    beside = [kept[kept[:, 0], 1:].mean(), kept[~kept[:, 0], 1:].mean()]
    np.testing.assert_allclose(beside, rate, atol=0.03)


def test_more_models_of_the_same_seed_are_drawn_anew_but_repeatably():
    np.testing.assert_array_equal(subsets.balanced(5, 8, 30, 0.5), subsets.balanced(5, 8, 30, 0.5))
    assert (subsets.balanced(5, 8, 30, 0.5) != subsets.balanced(6, 8, 30, 0.5)).any()


@pytest.mark.parametrize(("models", "rate"), [(4, 0.1), (5, 0.5), (1, 0.5)])
def test_a_design_that_does_not_exist_is_one_line(models, rate):
    with pytest.raises(SpecError, match=f"in some of {models} models") as e:
        subsets.balanced(0, models, 10, rate)
    assert "\n" not in str(e.value)
