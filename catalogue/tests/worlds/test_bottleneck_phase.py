"""The 2 → 1 phase diagram: hand-worked losses, integrals by brute force, published-style boundaries
found again by optimisation."""

import numpy as np
import pytest

from assay.core.errors import SpecError
from assay_catalogue.worlds.bottleneck import phase

UP_DOWN, FIRST = np.array([[1.0], [-1.0]]), np.array([[1.0], [0.0]])
NONE = np.zeros(2)


def expected_loss(W, b, density, importance, **how):
    """E Σ_i I_i (x_i − x'_i)²: importance enters linearly."""
    return importance @ phase.expected_errors(W, b, density, **how)


def test_losses_of_the_two_arrangements_by_hand():
    assert phase.superposed_loss(0.3, 1) == pytest.approx(0.03)
    assert phase.kept_loss(0.3, 1) == pytest.approx(0.0775)
    assert phase.superposed_loss(0.5, 0.5) == pytest.approx(0.0625)
    np.testing.assert_allclose(
        phase.expected_errors(UP_DOWN, NONE, 0.5), [1 / 24, 1 / 24], rtol=1e-12
    )
    assert expected_loss(UP_DOWN, NONE, 0.5, (1, 0.5)) == pytest.approx(0.0625, rel=1e-12)


@pytest.mark.parametrize(("p", "r"), [(0.05, 0.1), (0.3, 1.0), (0.7, 0.4), (1.0, 0.9), (0.4, 3.0)])
def test_the_closed_forms_are_the_integrals(p, r):
    assert expected_loss(UP_DOWN, NONE, p, (1, r)) == pytest.approx(
        phase.superposed_loss(p, r), rel=1e-10
    )
    W, b = (FIRST, np.array([0, p / 2])) if r <= 1 else (FIRST[::-1], np.array([p / 2, 0]))
    assert expected_loss(W, b, p, (1, r)) == pytest.approx(phase.kept_loss(p, r), rel=1e-10)


@pytest.mark.parametrize(
    ("r", "p"), [(1, 4 / 7), (0.5, 0.444444), (0.25, 0.307692), (0.1, 0.16), (2, 4 / 9), (10, 0.16)]
)
def test_the_boundary_is_where_the_two_losses_meet(r, p):
    assert phase.boundary(r) == pytest.approx(p, rel=1e-5)
    at = phase.boundary(r)
    assert phase.superposed_loss(at, r) == pytest.approx(phase.kept_loss(at, r), rel=1e-12)
    assert phase.superposed_loss(0.9 * at, r) < phase.kept_loss(0.9 * at, r)


def riemann(W, b, p, relu=True, cells=400):
    """Squared errors of two features by a midpoint sum over present features, float64."""
    u = (np.arange(cells) + 0.5) / cells
    total = np.zeros(2)
    for one in (False, True):
        for two in (False, True):
            weight = (p if one else 1 - p) * (p if two else 1 - p)
            x1, x2 = np.meshgrid(u if one else [0.0], u if two else [0.0], indexing="ij")
            x = np.stack([x1.ravel(), x2.ravel()], 1)
            z = x @ W @ W.T + b
            total += weight * ((x - (np.maximum(z, 0) if relu else z)) ** 2).mean(0)
    return total


@pytest.mark.parametrize("relu", [True, False])
def test_expected_errors_of_any_model_are_a_brute_force_sum(relu):
    rng = np.random.default_rng(0)
    for _ in range(6):
        W, b, p = rng.normal(size=(2, 1)), rng.normal(size=2) / 2, rng.uniform()
        np.testing.assert_allclose(
            phase.expected_errors(W, b, p, relu), riemann(W, b, p, relu), rtol=2e-4, atol=1e-6
        )


def test_more_nodes_change_nothing_that_matters():
    W, b = np.array([[0.7], [-0.6]]), np.array([0.1, 0.25])
    assert expected_loss(W, b, 0.5, (1, 0.4), nodes=64) == pytest.approx(
        expected_loss(W, b, 0.5, (1, 0.4), nodes=256), rel=1e-6
    )


def test_three_features_in_two_dimensions_against_samples():
    rng = np.random.default_rng(1)
    W, b, p = rng.normal(size=(3, 2)) / 1.5, np.array([0.1, -0.05, 0.2]), 0.6
    x = rng.uniform(size=(400_000, 3)) * (rng.uniform(size=(400_000, 3)) < p)
    sampled = ((x - np.maximum(x @ W @ W.T + b, 0)) ** 2).mean(0)
    np.testing.assert_allclose(phase.expected_errors(W, b, p, nodes=24), sampled, rtol=0.01)


def test_a_third_feature_of_its_own_dimension_costs_nothing():
    W = np.array([[1.0, 0], [-1, 0], [0, 1]])
    np.testing.assert_allclose(
        phase.expected_errors(W, np.zeros(3), 0.5), [1 / 24, 1 / 24, 0], rtol=2e-4, atol=1e-12
    )


def test_optimum_at_equal_importance_beyond_the_closed_boundary():
    loss, W, b = phase.optimise(UP_DOWN, NONE, 0.6714, (1, 1))
    assert loss == pytest.approx(0.10691, abs=1e-5) and phase.kept_loss(0.6714, 1) == pytest.approx(
        0.11111, abs=1e-5
    )
    np.testing.assert_allclose(np.abs(W[:, 0]), 0.781, atol=2e-3)
    np.testing.assert_allclose(b, 0.303, atol=2e-3)
    late, W, _ = phase.optimise(np.array([[1.0], [-0.3]]), np.array([0, 0.3]), 0.996, (1, 1))
    assert phase.kept_loss(0.996, 1) - late == pytest.approx(9e-5, abs=1e-5)
    np.testing.assert_allclose(W[:, 0], [0.936, -0.368], atol=2e-3)


@pytest.mark.parametrize("width", [1, 2])
def test_the_gradient_of_the_exact_loss_is_its_finite_difference(width):
    rng = np.random.default_rng(2)
    W, b, weights = (
        rng.normal(size=(3, width)) / 2,
        rng.normal(size=3) / 5,
        np.array([1.0, 0.5, 0.2]),
    )

    def loss(W, b):
        return phase._errors(W, b, 0.6, True, 32)[0] @ weights

    _, by_b, by_G = phase._errors(W, b, 0.6, True, 32)
    by_W = ((by_G * weights) + (by_G * weights).T) @ W
    for i in range(3):
        step = 1e-5 * np.eye(3)[i]
        assert (loss(W, b + step) - loss(W, b - step)) / 2e-5 == pytest.approx(
            by_b[i] * weights[i], rel=1e-3, abs=1e-6
        )
        step = np.outer(step, np.eye(width)[-1])
        assert (loss(W + step, b) - loss(W - step, b)) / 2e-5 == pytest.approx(
            by_W[i, -1], rel=1e-3, abs=1e-6
        )


@pytest.mark.parametrize(
    ("p", "r"), [(0.05, 0.3), (0.3, 0.1), (0.9, 0.5), (0.6714, 1.0), (0.3, 4.0)]
)
def test_no_model_is_better_than_the_least_loss(p, r):
    loss, length = phase.least(p, r)
    assert loss <= min(phase.superposed_loss(p, r), phase.kept_loss(p, r)) + 1e-9
    rng = np.random.default_rng(3)
    for _ in range(8):  # from anywhere
        found, *_ = phase.optimise(rng.normal(size=(2, 1)), rng.normal(size=2) / 3, p, (1, r))
        assert found >= loss - 1e-7
    assert length == 0 or 0.3 < length < 1.1 or length == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("r", "low", "high"), [(0.5, 0.484, 0.489), (0.25, 0.338, 0.343), (0.1, 0.18, 0.185)]
)
def test_the_optimal_boundary_lies_beyond_the_closed_one(r, low, high):
    assert low < phase.optimal_boundary(r) < high
    assert phase.optimal_boundary(1 / r) == phase.optimal_boundary(
        r
    )  # the same model with its features swapped
    assert phase.boundary(r) < phase.optimal_boundary(r)


def test_labels_and_what_is_predicted():
    W = np.array([[0.9, -0.8], [1.0, 0.1], [0.1, 1.0], [0.9, 0.8], [0.1, 0.2]])
    assert phase.labels(W, 0.5).tolist() == [
        0,
        1,
        2,
        2,
        2,
    ]  # keeping only the lesser is no state of theirs
    assert phase.labels(W, 2.0).tolist() == [0, 2, 1, 2, 2]
    assert phase.labels(W, 1.0).tolist() == [0, 1, 1, 2, 2]  # equal: either may be ignored
    p, r = np.array([0.1, 0.30, 0.32, 0.36, 0.38, 0.9]), np.array([0.25] * 5 + [1.0])
    optimal = np.array([0.34] * 5 + [1.0])
    np.testing.assert_array_equal(
        phase.predicted(p, r, optimal), [0, np.nan, np.nan, np.nan, 1, np.nan]
    )
    np.testing.assert_array_equal(
        phase.predicted(p, 1 / r, optimal), phase.predicted(p, r, optimal)
    )


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (lambda: phase.superposed_loss(1.5, 1), "a density is a probability, 0 to 1, got 1.5"),
        (
            lambda: phase.superposed_loss(np.array([0.2, -0.1]), 1),
            "a density is a probability, 0 to 1, got -0.1",
        ),
        (lambda: phase.kept_loss(float("nan"), 1), "a density is a probability, 0 to 1, got nan"),
        (lambda: phase.kept_loss(0.5, 0), "a relative importance is above 0 and finite, got 0"),
        (lambda: phase.boundary(-1.0), "a relative importance is above 0 and finite, got -1"),
        (
            lambda: phase.expected_errors(UP_DOWN, NONE, 2.0),
            "a density is a probability, 0 to 1, got 2",
        ),
        (lambda: phase.least(1.01, 0.5), "a density is a probability, 0 to 1, got 1.01"),
        (
            lambda: phase.optimal_boundary(float("inf")),
            "a relative importance is above 0 and finite, got inf",
        ),
        (
            lambda: phase.labels(np.ones((1, 2)), 0.0),
            "a relative importance is above 0 and finite, got 0",
        ),
        (lambda: phase.predicted(1.2, 0.5, 0.4), "a density is a probability, 0 to 1, got 1.2"),
    ],
)
def test_what_is_no_density_or_importance_is_one_clear_line(asked, says):
    with pytest.raises(SpecError) as caught:
        asked()
    assert str(caught.value) == says
