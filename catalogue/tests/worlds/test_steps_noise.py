"""Closed forms of one step against numbers worked out apart from this code, naive sums over laws,
and integrals."""

import itertools
import math

import numpy as np
import pytest
from scipy.special import iti0k0

from assay.core.errors import SpecError
from assay_catalogue.worlds.steps import noise as sn

NONE = np.zeros(3)


def correlation(covariance):
    """Of the first two coordinates."""
    return covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])


def test_the_two_component_example():
    sampled = sn.lock_step(2, -3) * sn.sampling_factor(8)
    np.testing.assert_allclose(np.linalg.eigvalsh(sampled)[::-1], [1.625, 0, 0], atol=1e-12)
    assert correlation(sampled) == pytest.approx(-1, abs=1e-12)
    assert sn.isotropic(sampled, 2)[0, 0] == pytest.approx(0.8125)
    assert correlation(sn.isotropic(sampled, 2)) == correlation(sn.diagonal(sampled)) == 0
    across = np.array([-3, -2])  # no example moves anything along it
    assert across @ sampled[:2, :2] @ across == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(sn.root(sampled) @ sn.root(sampled), sampled, atol=1e-12)


def test_batches_without_replacement_vary_less():
    assert sn.sampling_factor(100, 1000) == pytest.approx(0.009009009, abs=1e-9)
    assert sn.sampling_factor(100) == 0.01
    g = np.array([-2.0, -0.5, 0.1, 0.9, 1.5])
    g = (g - g.mean()) / g.std()
    every = [
        np.mean(batch) for batch in itertools.combinations(g, 2)
    ]  # all batches of two different examples
    assert np.var(every) == pytest.approx(sn.sampling_factor(2, 5))
    assert sn.sampling_factor(5, 5) == 0


@pytest.mark.parametrize(
    ("held", "a", "c", "wanted"),
    [(1, 1, 1, 0), (41, 1, 1, 0.047619), (401, 1, 1, 0.333333), (401, 1, 2, 0.471405)],
)
def test_a_sampled_environment(held, a, c, wanted):
    _, covariance = sn.linear_selection(
        NONE, sn.lock_step(a, c), size=0.05, sharpness=1.0, held=held
    )
    assert correlation(covariance) == pytest.approx(wanted, abs=1e-6)
    q = (held - 1) * 0.05**2 / 2
    assert correlation(covariance) == pytest.approx(
        q * a * c / math.sqrt((1 + q * a**2) * (1 + q * c**2)), abs=1e-12
    )


@pytest.mark.parametrize(
    ("evaluations", "a", "c", "wanted"),
    [
        (1, 1, 1, 0.5),
        (9, 1, 1, 0.833333),
        (49, 1, 1, 0.961538),
        (1, 1, 2, 0.419314),
        (9, 1, 2, 0.769800),
    ],
)
def test_evolution_strategies(evaluations, a, c, wanted):
    _, covariance = sn.evolution_strategy(NONE, sn.lock_step(a, c), evaluations)
    assert correlation(covariance) == pytest.approx(wanted, abs=1e-6)


def test_hard_selection():
    mean, covariance = sn.hard_selection(np.array([3.0, 0, 0]), 1.0)
    assert mean[0] == pytest.approx(0.398942, abs=1e-6)
    np.testing.assert_allclose(np.diag(covariance), [0.340845, 0.5, 0.5], atol=1e-6)
    accepted_mean, accepted_second = mean[0] / 0.5, (covariance[0, 0] + mean[0] ** 2) / 0.5
    assert accepted_mean == pytest.approx(0.797885, abs=1e-6)
    assert accepted_second - accepted_mean**2 == pytest.approx(0.363380, abs=1e-6)
    assert covariance[1, 1] / 0.5 == pytest.approx(1)  # at right angles, given that it is accepted


@pytest.mark.parametrize(
    ("held", "a", "c", "wanted"),
    [
        (1, 1, 2, 0),
        (5, 1, 1, 0.388985),
        (21, 1, 1, 0.760943),
        (21, 1, 2, 0.684232),
        (401, 1, 2, 0.976145),
    ],
)
def test_hard_selection_on_examples(held, a, c, wanted):
    mean, covariance = sn.hard_selection_on_examples(np.array([a, c, 0.0]), 0.05, held)
    assert correlation(covariance) == pytest.approx(wanted, abs=1e-6) and not mean.any()
    given_mean, given_covariance = sn.hard_selection(
        np.array([a, c, 0.0]), 0.05
    )  # of one mutation, for z > 0
    np.testing.assert_allclose(
        covariance, held * given_covariance + held**2 * np.outer(given_mean, given_mean), atol=1e-12
    )


def test_linear_selection_is_the_law_of_total_covariance():
    """Against a sum over every environment, with a true gradient beside: given ĝ, K mutations are
    independent."""
    gradient, K, s, beta = np.array([0.0, 0.3, -0.7]), 7, 0.2, 0.9
    noise = np.array([1.0, -2.0, 0.0])
    means, within = [], []
    for g in (gradient + noise, gradient - noise):
        mean = 0.5 * beta * s**2 * g  # E δ (½ + ½β g·δ) for a normal δ
        means.append(K * mean)
        within.append(K * (0.5 * s**2 * np.eye(3) - np.outer(mean, mean)))
    wanted = sum(within) / 2 + np.cov(np.array(means).T, bias=True)
    mean, covariance = sn.linear_selection(gradient, np.outer(noise, noise), s, beta, K)
    np.testing.assert_allclose(covariance, wanted, atol=1e-12)
    np.testing.assert_allclose(mean, np.mean(means, 0), atol=1e-12)


def test_evolution_strategies_have_the_fourth_moments_of_normal_directions():
    """E (g·ε)² ε εᵀ by Gauss–Hermite sums; then the law of total covariance over two
    minibatches."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    weights = weights / weights.sum()
    gradient, noise, P = np.array([0.5, 0.0, -0.2]), np.array([1.0, 2.0, 0.3]), 4
    means, within = [], []
    for g in (gradient + noise, gradient - noise):
        second = np.zeros((3, 3))
        for i, j, k in itertools.product(range(5), repeat=3):
            eps = nodes[[i, j, k]]
            second += weights[i] * weights[j] * weights[k] * (g @ eps) ** 2 * np.outer(eps, eps)
        means.append(g)
        within.append((second - np.outer(g, g)) / P)
    mean, covariance = sn.evolution_strategy(gradient, np.outer(noise, noise), P)
    np.testing.assert_allclose(
        covariance, sum(within) / 2 + np.cov(np.array(means).T, bias=True), atol=1e-12
    )
    np.testing.assert_allclose(mean, gradient)


@pytest.mark.parametrize("size", [0.05, 0.1, 0.3])
def test_clipping_is_that_of_a_product_of_two_normal_numbers(size):
    """|z₁ z₂| > x has probability 1 − (2/π) ∫₀ˣ K₀."""
    wanted = 1 - 2 / math.pi * iti0k0(1 / (size * math.sqrt(5)))[1]
    assert sn.clipped(NONE, sn.lock_step(1, 2), size, 1.0) == pytest.approx(
        wanted, rel=2e-3, abs=1e-9
    )


def test_clipping_by_a_true_gradient_is_a_normal_tail():
    assert sn.clipped(np.array([0, 0, 4.0]), np.zeros((3, 3)), 0.25, 0.5) == pytest.approx(
        math.erfc(2 / math.sqrt(2))
    )


def test_participation():
    assert sn.participation(np.array([[1.0, 1, 1, 1], [4, 0, 0, 0], [3, 1, 0, 0]])).tolist() == [
        4,
        1,
        1.6,
    ]
    z = np.random.default_rng(0).normal(size=(20, 500, 40)) * np.linspace(0.2, 2, 40)
    values = np.stack([np.linalg.eigvalsh(x.T @ x / 500) for x in z])
    true = sn.participation(np.linspace(0.2, 2, 40) ** 2)
    # E tr Ŝ² = tr S² (1 + 1/n) + (tr S)²/n of n normal samples about a known mean
    assert sn.participation(values).mean() == pytest.approx(500 * true / (501 + true), rel=0.01)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: sn.lock_step(1, 1, n=2),
            "needs at least 3 coordinates, two in lock-step and one along the true gradient, got 2",
        ),
        (lambda: sn.sampling_factor(9, 8), "has at most the 8 examples that there are, got 9"),
        (lambda: sn.sampling_factor(0), "a batch has at least 1 example, got 0"),
        (
            lambda: sn.linear_selection(NONE, np.eye(3), 1, 1, held=0),
            "held for at least 1 mutation, got 0",
        ),
        (lambda: sn.evolution_strategy(NONE, np.eye(3), 0), "at least 1 evaluation a step, got 0"),
    ],
)
def test_what_cannot_be_is_one_line(call, said):
    with pytest.raises(SpecError) as e:
        call()
    assert said in str(e.value) and "\n" not in str(e.value)
