"""Counts of features under multiples of the weights, against a matrix worked out by hand and
polygons; the factor of least loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay_catalogue.worlds.bottleneck.capacity import dimensionality
from assay_catalogue.worlds.bottleneck.polygons import shape, side_loss
from assay_catalogue.worlds.bottleneck.rescaling import (
    features_by_dimensionality,
    features_per_dimension,
    least_at,
    tied_losses,
)

BY_HAND = torch.tensor([[3.0, 0.0], [-1.0, 2.0], [0.5, 0.5]], dtype=torch.float64)


def polygon(k, length=1.0):
    angle = 2 * np.pi * torch.arange(k, dtype=torch.float64) / k
    return length * torch.stack([angle.cos(), angle.sin()], -1)


def test_size_counts_four_times_as_much_at_twice_the_weights_and_dimensionality_the_same():
    assert features_per_dimension(BY_HAND).item() == pytest.approx(7.25)
    assert features_per_dimension(2 * BY_HAND).item() == pytest.approx(29.0)
    for c in (1, 2):
        np.testing.assert_allclose(
            dimensionality(c * BY_HAND), [0.878049, 0.729927, 0.090909], atol=5e-7
        )


@pytest.mark.parametrize("k", [2, 3, 5, 6])
@pytest.mark.parametrize("length", [0.1, 1.0, 3.0])
def test_a_polygon_has_as_many_features_as_corners_whatever_its_size(k, length):
    D = dimensionality(polygon(k, length))
    if k > 2:
        assert features_by_dimensionality(D, 2).item() == pytest.approx(k / 2)
    assert features_per_dimension(polygon(k, length)).item() == pytest.approx(k * length**2 / 2)


def test_uneven_shares_count_as_fewer_and_nothing_as_none():
    D = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.5, 0.5], [0.0, 0.0, 0.0]], dtype=torch.float64)
    np.testing.assert_allclose(features_by_dimensionality(D, 2), [1.0, 4 / 1.5 / 2, 0.0])
    with pytest.raises(DataError, match="width of at least 1, got 0"):
        features_by_dimensionality(D, 0)


def test_the_factor_of_least_loss_is_found_between_the_factors_tried():
    scales = np.geomspace(0.7, 1 / 0.7, 21)
    for c in (0.81, 1.0, 1.013, 1.3):
        assert least_at(scales, (np.log(scales) - np.log(c)) ** 2) == pytest.approx(c)
    np.testing.assert_allclose(least_at(scales, np.stack([scales, -scales])), [0.7, 1 / 0.7])
    with pytest.raises(DataError, match="at least three rising factors above 0"):
        least_at(np.array([1.0, 0.5, 2.0]), np.zeros(3))


def hexagon_loss(c, bias_power):
    """E ‖x − x'‖² of a hexagon times c on inputs a·e_i, a by the midpoints of 100,000 intervals."""
    length, bias = shape(6)
    a, total = (np.arange(100_000) + 0.5) / 100_000, 0.0
    for j in range(6):
        out = np.maximum(c**2 * length**2 * np.cos(2 * np.pi * j / 6) * a + c**bias_power * bias, 0)
        total += np.mean(((a if j == 0 else 0) - out) ** 2)
    return total


def test_a_tied_hexagon_is_least_at_its_own_scale():
    """The five factors; the levels of a coarse quadrature rule of sixteen points are within two
    thousandths of these."""
    coarse = {
        0: (0.18089, 0.08918, 0.04819, 0.10433, 0.46914),
        2: (0.08514, 0.05848, 0.04819, 0.06076, 0.13841),
    }
    length, bias = shape(6)
    for power, known in coarse.items():
        exact = [side_loss(6, c * length, c**power * bias) for c in (0.8, 0.9, 1, 1.1, 1.25)]
        np.testing.assert_allclose(
            exact, [hexagon_loss(c, power) for c in (0.8, 0.9, 1, 1.1, 1.25)], atol=1e-8
        )
        np.testing.assert_allclose(exact, known, rtol=2e-3)
        fine = np.geomspace(0.7, 1 / 0.7, 21)
        assert least_at(
            fine, np.array([side_loss(6, c * length, c**power * bias) for c in fine])
        ) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("power", [0, 2])
def test_expected_losses_of_multiples_are_those_of_many_inputs(power):
    rng = np.random.default_rng(0)
    W, b, importance = rng.normal(size=(3, 2)), 0.2 * rng.normal(size=3), np.array([1.0, 0.5, 0.25])
    x = rng.random((400_000, 3)) * (rng.random((400_000, 3)) < 0.4)
    wanted = []
    for c in (0.5, 1.0, 1.5):
        out = np.maximum(c * c * x @ W @ W.T + c**power * b, 0)
        wanted.append((importance * ((x - out) ** 2).mean(0)).mean())
    each = [torch.from_numpy(a)[None] for a in (W, b, importance)]
    found = tied_losses(*each, torch.tensor([0.4], dtype=torch.float64), (0.5, 1.0, 1.5), power)
    np.testing.assert_allclose(found[0], wanted, rtol=0.02)
