"""Capacity against vectors worked out by hand, against its other definition, and against its
bounds."""

import math

import pytest
import torch

from assay.core.errors import DataError
from assay_catalogue.worlds.bottleneck.capacity import capacity, dimensionality


def rows(*columns):
    """W [f, d] from the matrix as papers print it, features in columns."""
    return torch.tensor(columns, dtype=torch.float64).T


def polygon(k):
    angle = 2 * math.pi * torch.arange(k, dtype=torch.float64) / k
    return torch.stack([angle.cos(), angle.sin()], 1)


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive(W):
    """C_i by loops over features and coordinates."""
    dot = [[sum(float(a * b) for a, b in zip(u, v, strict=True)) for v in W] for u in W]
    return [dot[i][i] ** 2 / sum(x * x for x in dot[i]) for i in range(len(W))]


@pytest.mark.parametrize(
    ("W", "expected", "total"),
    [
        (rows([1, 0, 1], [0, 1, 1]), [0.5, 0.5, 2 / 3], 5 / 3),
        (rows([2, 0, -1, 0], [0, 1, 0, 0.5]), [0.8, 0.8, 0.2, 0.2], 2.0),
        (rows([3, -1, 0.5], [0, 2, 0.5]), [0.878049, 0.729927, 0.090909], 1.698885),
        (rows([1, -1]), [0.5, 0.5], 1.0),
        (polygon(3), [2 / 3] * 3, 2.0),
        (polygon(5), [2 / 5] * 5, 2.0),
        (polygon(8), [2 / 8] * 8, 2.0),
        (rows([1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]), [0.75] * 4, 3.0),
    ],
    ids=[
        "two and a diagonal",
        "two scaled pairs",
        "three oblique",
        "antipodal",
        "triangle",
        "pentagon",
        "octagon",
        "tetrahedron",
    ],
)
def test_known_arrangements(W, expected, total):
    assert capacity(W).tolist() == pytest.approx(expected, rel=1e-5)
    assert float(capacity(W).sum()) == pytest.approx(total, rel=1e-6)
    assert capacity(W).tolist() == pytest.approx(naive(W), rel=1e-12)


def test_it_is_dimensionality_for_any_weights_and_two_near_misses_are_not():
    W = drawn(100, 7, 3)
    assert (capacity(W) - dimensionality(W)).abs().max() <= 1e-12
    gram = W @ W.transpose(1, 2)
    norm = W.norm(dim=-1)
    unsquared = norm.square() / gram.square().sum(-1)  # ‖w_i‖² above: the square is forgotten
    cosines = 1 / (gram / norm[:, :, None] / norm[:, None]).square().sum(
        -1
    )  # w_j normalised as well
    assert ((unsquared - capacity(W)).abs().amax(-1) > 0.01).all()
    assert ((cosines - capacity(W)).abs().amax(-1) > 0.01).all()


def test_scaling_and_rotating_everything_changes_nothing_but_scaling_one_row_does():
    W = drawn(6, 3)
    rotation = torch.linalg.qr(drawn(3, 3, seed=1)).Q
    assert torch.allclose(capacity(-3.7 * W @ rotation), capacity(W), rtol=1e-12)
    one = W.clone()
    one[0] *= 2
    assert (capacity(one) - capacity(W)).abs().max() > 0.05


@pytest.mark.parametrize(("f", "d", "rank"), [(5, 2, 2), (20, 5, 5), (6, 4, 2), (2, 4, 2)])
def test_it_is_bounded_by_leverage_and_sums_to_at_most_the_rank(f, d, rank):
    """Leverage is w_iᵀ F⁺ w_i with F = Σ_j w_j w_jᵀ; by Cauchy and Schwarz (w·w)² is at most (wᵀF
    w)(wᵀF⁺w)."""
    W = drawn(50, f, rank) @ drawn(50, rank, d, seed=1)
    leverage = (W * (W @ torch.linalg.pinv(W.transpose(1, 2) @ W, hermitian=True))).sum(-1)
    assert (capacity(W) >= 0).all()
    assert (capacity(W) <= leverage + 1e-9).all()
    assert (leverage <= 1 + 1e-9).all()
    assert leverage.sum(-1).tolist() == pytest.approx([rank] * 50, rel=1e-6)
    assert (capacity(W).sum(-1) <= rank + 1e-9).all()


def test_a_union_of_tight_frames_fills_the_rank():
    W = torch.zeros(8, 4, dtype=torch.float64)
    W[:5, :2], W[5:, 2:] = 0.7 * polygon(5), 3.0 * polygon(3)
    assert float(capacity(W).sum()) == pytest.approx(4, rel=1e-12)


def test_a_row_of_zeros_has_none_and_takes_none():
    W = rows([1, 0, 0], [0, 1, 0])
    assert capacity(W).tolist() == dimensionality(W).tolist() == [1, 1, 0]


def test_a_batch_is_its_members():
    W = drawn(3, 4, 5, 2)
    # Batched and single products may sum in another order, by processor: a few units in the last
    # place.
    torch.testing.assert_close(capacity(W)[2, 1], capacity(W[2, 1]), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: capacity(torch.ones(3)),
            r"weights must be \[.., feature, width\], .* got shape \[3\]",
        ),
        (lambda: dimensionality(torch.ones(0, 2)), r"got shape \[0, 2\]"),
    ],
)
def test_bad_input_is_one_line(call, said):
    with pytest.raises(DataError, match=said) as e:
        call()
    assert "\n" not in str(e.value)
