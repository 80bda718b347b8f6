"""Crowding of arrangements whose overlaps are known by hand, and against a naive float64 loop."""

import math

import pytest
import torch

from assay.core.errors import DataError
from assay_catalogue.worlds.bottleneck.capacity import capacity
from assay_catalogue.worlds.bottleneck.crowding import crowding


def polygon(k: int) -> torch.Tensor:
    angle = torch.arange(k, dtype=torch.float64) * 2 * math.pi / k
    return torch.stack([angle.cos(), angle.sin()], 1)


def test_an_antipodal_pair_has_half_the_capacity_and_no_crowding():
    pair = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    assert capacity(pair).tolist() == [0.5, 0.5]
    assert crowding(pair).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("k", "wanted"),
    [(3, 0.0), (4, 0.0), (5, 2 * math.cos(2 * math.pi / 5) ** 2), (6, 2 * 0.25), (8, 2 * 0.5)],
)
def test_in_a_polygon_the_two_nearest_neighbours_crowd(k, wanted):
    assert crowding(polygon(k)) == pytest.approx([wanted] * k, abs=1e-12)


def test_against_a_loop_with_densities():
    g = torch.Generator().manual_seed(0)
    W, p = (
        torch.randn(2, 6, 3, generator=g, dtype=torch.float64),
        torch.rand(2, 6, generator=g, dtype=torch.float64) + 0.1,
    )
    found = crowding(W, p)
    for r in range(2):
        for i in range(6):
            pushed = sum(
                float(p[r, j] * max(0.0, float(W[r, i] @ W[r, j])) ** 2) for j in range(6) if j != i
            )
            assert float(found[r, i]) == pytest.approx(
                pushed / float(p[r, i] * (W[r, i] @ W[r, i]) ** 2), rel=1e-12
            )
    assert crowding(W, torch.full_like(p, 0.3)) == pytest.approx(crowding(W), rel=1e-12)
    turned = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))[0]
    assert crowding(5 * W @ turned, p) == pytest.approx(found, rel=1e-10)


def test_a_feature_that_is_not_there_is_not_crowded():
    assert crowding(torch.tensor([[0.0, 0.0], [1.0, 0.0]])).tolist() == [0.0, 0.0]


def test_bad_input_is_one_clear_line():
    with pytest.raises(DataError, match="rows of a matrix"):
        crowding(torch.zeros(3))
    with pytest.raises(DataError, match="positive density"):
        crowding(torch.eye(2), torch.tensor([0.5, 0.0]))
