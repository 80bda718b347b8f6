"""Measures against loops in float64, hand-worked vectors, and their stated ranges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.dictionaries.measuring import metrics

KINDS = [np.asarray, torch.as_tensor]


def rows(seed=0, b=9, d=4):
    g = np.random.default_rng(seed)
    x = g.normal(size=(b, d)) + 2.0
    return x, 0.7 * x + 0.3 * g.normal(size=(b, d))


def loop(x, x_hat, mean):
    """E‖x̂‖², E[x̂·x] and E‖x‖² about `mean`, the squared error, and the variance, as sums written
    out."""
    norm = dot = square = error = variance = 0.0
    centre = [sum(row[j] for row in x) / len(x) for j in range(len(x[0]))]
    for row, guess in zip(x.tolist(), x_hat.tolist(), strict=True):
        for j, (a, b) in enumerate(zip(row, guess, strict=True)):
            norm = norm + (b - mean[j]) ** 2
            dot = dot + (b - mean[j]) * (a - mean[j])
            square = square + (a - mean[j]) ** 2
            error, variance = error + (a - b) ** 2, variance + (a - centre[j]) ** 2
    return norm, dot, square, error, variance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mean", [0.0, np.array([2.0, 1.9, 2.1, 2.0])], ids=["raw", "centred"])
def test_ratios_of_sums(kind, mean):
    x, x_hat = rows()
    norm, dot, square, error, variance = loop(x, x_hat, np.broadcast_to(mean, 4))
    about = mean if isinstance(mean, float) else kind(mean)
    assert float(metrics.shrinkage(kind(x), kind(x_hat), about)) == pytest.approx(
        norm / dot, rel=1e-12
    )
    assert float(metrics.norm_ratio(kind(x), kind(x_hat), about)) == pytest.approx(
        math.sqrt(norm / square), rel=1e-12
    )
    assert float(metrics.fvu(kind(x), kind(x_hat))) == pytest.approx(error / variance, rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_each_run_has_its_number(kind):
    x, x_hat = rows()
    both = np.stack([x_hat, 0.5 * x_hat])
    for measure in (metrics.shrinkage, metrics.norm_ratio, metrics.fvu):
        found = measure(kind(x), kind(both))
        assert isinstance(found, np.ndarray if kind is np.asarray else torch.Tensor)
        assert found.tolist() == pytest.approx(
            [float(measure(x, guess)) for guess in both], rel=1e-14
        )


@pytest.mark.parametrize("angle", [0.1, 0.7, 1.3])
def test_a_projection_is_short_and_not_shrunken(angle):
    x = np.array([[1.0, 0.0]])
    x_hat = np.array([[math.cos(angle) ** 2, math.cos(angle) * math.sin(angle)]])
    assert metrics.shrinkage(x, x_hat) == pytest.approx(1)
    assert metrics.norm_ratio(x, x_hat) == pytest.approx(math.cos(angle))


def test_a_large_mean_hides_shrinkage_from_the_raw_form():
    x, x_hat = np.array([99.0, 101.0]), np.array([99.5, 100.5])
    assert metrics.shrinkage(x, x_hat) == pytest.approx(10000.25 / 10000.5, rel=1e-14)
    assert metrics.shrinkage(x, x_hat, 100.0) == pytest.approx(0.5)


def test_least_squares_leaves_no_shrinkage():
    """Where no rescaling of x̂ lowers the error, γ is 1: why TopK and Gated are unbiased."""
    x, x_hat = rows(3)
    best = (x * x_hat).sum() / (x_hat**2).sum()
    assert metrics.shrinkage(x, best * x_hat) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_undefined_is_nan(kind):
    x = kind(np.array([[1.0, 2.0], [1.0, 2.0]]))
    assert math.isnan(metrics.fvu(x, x))  # x does not vary
    assert math.isnan(metrics.shrinkage(x, -x))
    assert math.isnan(metrics.shrinkage(x, 0 * x))
    assert math.isnan(metrics.norm_ratio(0 * x, x))
    assert math.isnan(metrics.ce_recovered(2.0, 3.0, 2.0))
    assert math.isnan(metrics.ce_recovered(2.0, 3.0, 1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_of_features(kind):
    features = np.array([[[0.0, 1.0, 0.0], [2.0, 0.5, 0.0]], [[0.0, 0.0, 0.0], [0.0, 0.0, 3.0]]])
    assert metrics.l0(kind(features)).tolist() == [1.5, 0.5]
    assert metrics.density(kind(features)).tolist() == [[0.5, 1.0, 0.0], [0.0, 0.0, 0.5]]
    assert metrics.dead(kind(features)).tolist() == pytest.approx([1 / 3, 2 / 3])


def test_ce_recovered():
    assert metrics.ce_recovered(2.0, 2.5, 7.0) == pytest.approx(0.9)
    assert metrics.ce_recovered(
        np.array([2.0, 2.0]), np.array([7.0, 2.0]), np.array([7.0, 7.0])
    ).tolist() == [0, 1]


@given(st.integers(0, 10**6), st.floats(-3, 3), st.floats(0, 3))
@settings(max_examples=40)
def test_ranges(seed, bias, noise):
    g = np.random.default_rng(seed)
    x = g.normal(size=(6, 3))
    x_hat = bias * x + noise * g.normal(size=(6, 3))
    assert metrics.fvu(x, x_hat) >= 0
    for value in (metrics.shrinkage(x, x_hat), metrics.norm_ratio(x, x_hat)):
        assert math.isnan(value) or value >= 0
    assert metrics.ce_recovered(1.0, 1.0 + abs(bias), 4.0) <= 1
    features = np.maximum(x_hat, 0)
    assert 0 <= metrics.l0(features) <= 3 and 0 <= metrics.dead(features) <= 1
    x_hat[0, 0] = math.nan
    assert math.isnan(metrics.fvu(x, x_hat)) and math.isnan(metrics.shrinkage(x, x_hat))


def test_of_no_rows_nothing_is_known_to_be_dead():
    assert np.isnan(metrics.dead(np.zeros((0, 4))))
    assert torch.isnan(metrics.dead(torch.zeros(0, 4)))
