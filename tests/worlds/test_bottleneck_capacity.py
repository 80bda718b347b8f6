"""Capacity against vectors worked out by hand, against its other definition, and against its
bounds."""

import math

import pytest
import torch

from assay.core.errors import DataError
from assay.worlds.bottleneck.capacity import (
    capacity,
    dimensionality,
    leverage,
    linear_losses,
    linear_optimum,
    untied,
)


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
    W = drawn(50, f, rank) @ drawn(50, rank, d, seed=1)
    assert (capacity(W) >= 0).all()
    assert (capacity(W) <= leverage(W) + 1e-9).all()
    assert (leverage(W) <= 1 + 1e-9).all()
    assert leverage(W).sum(-1).tolist() == pytest.approx([rank] * 50, rel=1e-6)
    assert (capacity(W).sum(-1) <= rank + 1e-9).all()


def test_a_union_of_tight_frames_fills_the_rank():
    W = torch.zeros(8, 4, dtype=torch.float64)
    W[:5, :2], W[5:, 2:] = 0.7 * polygon(5), 3.0 * polygon(3)
    assert float(capacity(W).sum()) == pytest.approx(4, rel=1e-12)


def test_a_row_of_zeros_has_none_and_takes_none():
    W = rows([1, 0, 0], [0, 1, 0])
    assert capacity(W).tolist() == dimensionality(W).tolist() == [1, 1, 0]
    assert untied(W @ W.T)[0].tolist() == [1, 1, 0]


def test_a_batch_is_its_members():
    W = drawn(3, 4, 5, 2)
    # Batched and single products may sum in another order, by processor: a few units in the last
    # place.
    torch.testing.assert_close(capacity(W)[2, 1], capacity(W[2, 1]), rtol=1e-14, atol=0)


def test_untied_is_both_directions_and_tied_is_one():
    M = torch.tensor([[2.0, 1.0], [0.0, 1.0]])
    received, caused = untied(M)
    assert received.tolist() == pytest.approx([4 / 5, 1])
    assert caused.tolist() == pytest.approx([1, 1 / 2])
    W = drawn(6, 3)
    assert all(torch.allclose(side, capacity(W)) for side in untied(W @ W.T))


def test_what_a_linear_model_leaves_is_what_least_squares_leaves():
    """Each x_i regressed on h_i = Σ_j (w_i·w_j) x_j over a large sample of independent inputs."""
    W, importance = drawn(5, 2), torch.tensor([1.0, 0.9, 0.81, 0.729, 0.6561], dtype=torch.float64)
    x = drawn(400_000, 5, seed=3) * 0.6
    h = x @ (W @ W.T)
    gain = (h * x).sum(0) / (h * h).sum(0)
    left = importance * (x - gain * h).square().mean(0)
    assert linear_losses(importance, 0.36, capacity(W)).tolist() == pytest.approx(
        left.tolist(), rel=0.02
    )


def test_winners_take_all():
    importance, variance = torch.tensor([1, 0.7, 0.4, 0.1], dtype=torch.float64), 0.5 / 3 - 0.25 / 4
    loss, capacities = linear_optimum(importance, variance, 2)
    assert float(loss) == pytest.approx(0.0520833, rel=1e-5)
    assert capacities.tolist() == [1, 1, 0, 0]
    leaves = torch.full((4,), 0.5, dtype=torch.float64, requires_grad=True)
    linear_losses(importance, variance, leaves).sum().backward()
    assert leaves.grad is not None
    assert leaves.grad.tolist() == pytest.approx(
        [-i * 0.1041667 for i in (1, 0.7, 0.4, 0.1)], rel=1e-5
    )
    best = min(
        float(linear_losses(importance, variance, capacity(W)).sum())
        for W in (drawn(4, 2, seed=s) for s in range(200))
    )
    assert best >= float(loss)  # no weights do better


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: capacity(torch.ones(3)),
            r"weights must be \[.., feature, width\], .* got shape \[3\]",
        ),
        (lambda: dimensionality(torch.ones(0, 2)), r"got shape \[0, 2\]"),
        (lambda: untied(torch.ones(2, 3)), r"a square matrix, got shape \[2, 3\]"),
        (
            lambda: linear_losses(torch.ones(2), 1.0, torch.tensor([0.5, 1.5])),
            "from 0 to 1, got 1.5",
        ),
        (
            lambda: linear_optimum(torch.ones(3), 1.0, 4),
            "a width of 4 cannot be filled: it must be from 1 to the 3 features",
        ),
    ],
)
def test_bad_input_is_one_line(call, said):
    with pytest.raises(DataError, match=said) as e:
        call()
    assert "\n" not in str(e.value)
