"""Vectors that stand in for others. Truth: linear algebra, and the same formula in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.controls import vectors
from assay.errors import DataError
from assay.train import rng

G = np.random.default_rng(0)
AROUND, OTHERS = G.normal(size=(40, 8)), G.normal(size=(31, 8))
DIRECTION = G.normal(size=8)


def in_numpy(direction, around, seed):
    """The formula of `random_like`, for activations that all differ from their mean."""
    x = around - around.mean(0)
    g = rng.normal(np.array([2 * (seed // 2)]), "ask.random", 0, (len(x),))[0]
    v = g @ (x / np.linalg.norm(x, axis=1, keepdims=True))
    v = v - (v @ direction) / (direction @ direction) * direction
    return (-1) ** seed * v / np.linalg.norm(v) * np.linalg.norm(direction)


@pytest.mark.parametrize("seed", [0, 1, 2, 7])
def test_a_random_direction_follows_its_formula(seed):
    got = vectors.random_like(DIRECTION, AROUND, seed)
    np.testing.assert_allclose(got, in_numpy(DIRECTION, AROUND, seed), rtol=1e-6)


@given(st.integers(0, 10_000))
def test_it_is_as_long_and_at_right_angles(seed):
    got = vectors.random_like(DIRECTION, AROUND, seed)
    assert np.linalg.norm(got) == pytest.approx(np.linalg.norm(DIRECTION), rel=1e-6)
    assert got @ DIRECTION == pytest.approx(0, abs=1e-5)
    np.testing.assert_array_equal(got, vectors.random_like(DIRECTION, AROUND, seed))


def test_a_random_direction_lies_where_activations_do():
    draw = torch.Generator().manual_seed(0)
    spread = torch.diag(torch.tensor([1e4, 3.0, 2.0, 1.0, 0.0, 0.0]))
    x = torch.randn(4000, 6, generator=draw) @ spread
    x[::400] *= 1e3  # a few huge ones do not dominate
    true = torch.tensor([0.0, 5.0, 0.0, 0.0, 0.0, 0.0])
    got = torch.stack([vectors.random_like(true, x, seed) for seed in range(80)])
    torch.testing.assert_close(got.norm(dim=1), torch.full((80,), 5.0))
    assert float(got[:, [1, 4, 5]].abs().max()) < 1e-3
    assert torch.equal(got[0::2], -got[1::2])
    assert float(got[:, 0].abs().median()) > float(got[:, 2].abs().median())


def test_the_size_of_an_activation_does_not_count():
    """Pairs around 0, of which one is made a thousand times longer: the formula has lengths 1."""
    x = np.concatenate([AROUND, -AROUND])
    longer = x.copy()
    longer[[3, 43]] *= 1000
    a, b = (vectors.random_like(DIRECTION, y, 4) for y in (x, longer))
    np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("around", [np.ones((5, 8)), np.empty((0, 8)), np.ones((1, 8))])
def test_without_spread_all_dimensions_count(around):
    got = np.array([vectors.random_like(DIRECTION, around, k) for k in range(0, 60, 2)])
    assert np.linalg.matrix_rank(got) == 7
    np.testing.assert_allclose(got @ DIRECTION, 0, atol=1e-5)


def test_two_activations_fill_one_dimension():
    apart = vectors.aside(AROUND[0] - AROUND[1], DIRECTION)
    got = vectors.random_like(DIRECTION, AROUND[:2], 0)
    assert abs(got @ apart) == pytest.approx(np.linalg.norm(got) * np.linalg.norm(apart))


def test_rows_at_the_mean_have_no_direction():
    x = np.concatenate([AROUND[:6], AROUND[:6].mean(0, keepdims=True)])
    a = vectors.random_like(DIRECTION, x, 0)
    np.testing.assert_allclose(a, in_numpy(DIRECTION, AROUND[:6], 0), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_torch_give_equal_draws(dtype):
    a, b, c = (x.astype(dtype) for x in (DIRECTION, AROUND, OTHERS))
    t, u, w = map(torch.from_numpy, (a, b, c))
    for seed in range(4):
        for mine, other in (
            (vectors.random_like(a, b, seed), vectors.random_like(t, u, seed)),
            (vectors.shuffled_difference(b, c, seed), vectors.shuffled_difference(u, w, seed)),
            (vectors.random_subspace(EYE[:2], b, seed), vectors.random_subspace(EYE[:2], u, seed)),
        ):
            np.testing.assert_allclose(mine, np.asarray(other), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_precision_stays_that_of_the_vector(dtype):
    direction, around = torch.tensor(DIRECTION).to(dtype), torch.tensor(AROUND).to(dtype)
    for seed in range(3):
        got = vectors.random_like(direction, around, seed)
        assert got.dtype == dtype
        np.testing.assert_allclose(
            vectors.as_numpy(got), in_numpy(vectors.as_numpy(direction), AROUND, seed), atol=0.1
        )


@given(st.integers(0, 2), st.integers(0, 2))
def test_numbers_survive_a_change_of_type(first, second):
    kinds = [np.float32, np.float64, torch.float32]
    like = [torch.zeros(1, dtype=k) if k is torch.float32 else np.zeros(1, k) for k in kinds]
    x = vectors.cast(np.array([0.5, -3.25]), like[first])
    got = vectors.cast(x, like[second])
    assert got.dtype == kinds[second] and type(got) is type(like[second])
    assert got.tolist() == [0.5, -3.25]


def test_a_tensor_that_learns_is_read():
    x = torch.ones(3, requires_grad=True)
    assert vectors.as_numpy(x).tolist() == [1, 1, 1]
    assert vectors.stacked(x[None], x[None]).shape == (2, 3)


def test_nothing_but_a_tensor_is_one():
    assert vectors.is_tensor(torch.ones(1)) and vectors.is_tensor(torch.nn.Parameter(torch.ones(1)))
    assert not vectors.is_tensor(np.ones(1)) and not vectors.is_tensor(None)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
@pytest.mark.parametrize("times", [1.0, -2.5, 1e-8])
def test_a_multiple_has_no_part_aside(kind, times):
    x = kind([3.0, 4.0, 0.0])
    with pytest.raises(DataError) as caught:
        vectors.aside(times * x, x)
    assert caught.value.code == "same-direction"


def test_the_part_aside_is_a_projection():
    np.testing.assert_allclose(vectors.aside(np.array([3.0, 4.0]), np.array([0.0, 2.0])), [3, 0])
    nearly = np.array([1.0, 1e-4])
    np.testing.assert_allclose(vectors.aside(nearly, np.array([1.0, 0.0])), [0, 1e-4])


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_no_vector_is_stretched_from_nothing(kind):
    np.testing.assert_allclose(
        vectors.as_long_as(kind([0.0, 3.0]), kind([6.0, 8.0])), [0, 10], rtol=1e-6
    )
    for nothing in ([0.0, 0.0], [np.nan, 1.0]):
        with pytest.raises(DataError) as caught:
            vectors.as_long_as(kind(nothing), kind([1.0, 0.0]))
        assert caught.value.code == "no-length"


# ---- shuffled labels -----------------------------------------------------------------------------


@given(st.lists(st.integers(2, 30), min_size=1, max_size=3), st.integers(0, 1000))
def test_half_of_each_label_is_swapped(counts, seed):
    halves = vectors.swaps(counts, seed)
    for n, (swapped, kept) in zip(counts, halves, strict=True):
        assert sorted(swapped + kept) == list(range(n)) and len(swapped) == n // 2
    assert halves == vectors.swaps(counts, seed ^ 1)


def test_other_seeds_and_labels_swap_others():
    first, second = vectors.swaps([30, 30], 0)
    assert first != second and vectors.swaps([30, 30], 2)[0] != first


@pytest.mark.parametrize(("n", "m"), [(10, 10), (7, 4), (3, 2)])
def test_what_separates_labels_cancels(n, m):
    """Two constants: whichever rows are swapped, nothing is left."""
    first, second = np.full((n, 3), 5.0), np.full((m, 3), -1.0)
    np.testing.assert_allclose(vectors.shuffled_difference(first, second, 3), 0, atol=1e-12)


def test_shuffled_labels_give_the_difference_of_their_means():
    got = vectors.shuffled_difference(AROUND, OTHERS, 5)
    (a, b), (c, d) = vectors.swaps((40, 31), 5)
    halves = [AROUND[a].mean(0) - AROUND[b].mean(0), OTHERS[c].mean(0) - OTHERS[d].mean(0)]
    np.testing.assert_allclose(got, -(halves[0] + halves[1]) / 2)
    np.testing.assert_array_equal(got, -vectors.shuffled_difference(AROUND, OTHERS, 4))
    np.testing.assert_allclose(vectors.difference(AROUND, OTHERS), AROUND.mean(0) - OTHERS.mean(0))


# ---- subspaces -----------------------------------------------------------------------------------

EYE = np.eye(8)


@pytest.mark.parametrize("rank", [1, 3, 6, 8])
def test_another_subspace_is_as_large_and_aside(rank):
    """At right angles where 8 dimensions have room for it, else as far as they have."""
    basis = np.linalg.qr(G.normal(size=(8, rank))).Q.T
    draws = [vectors.random_subspace(basis, AROUND, seed) for seed in (0, 0, 1)]
    for other in draws:
        np.testing.assert_allclose(other @ other.T, np.eye(rank), atol=1e-9)
        assert np.square(other @ basis.T).sum() == pytest.approx(max(0, 2 * rank - 8))
    np.testing.assert_array_equal(draws[0], draws[1])
    assert rank == 8 or not np.allclose(draws[0], draws[2], atol=1e-3)


def test_a_random_dimension_follows_its_formula():
    x = AROUND - AROUND.mean(0)
    g = rng.normal(np.array([4]), "ask.subspace", 0, (1, len(x) + 1))[0, 0, : len(x)]
    v = g.astype(float) @ (x / np.linalg.norm(x, axis=1, keepdims=True)) * (np.arange(8) > 0)
    got = vectors.random_subspace(EYE[:1], AROUND, 4)[0]
    assert abs(got @ v) == pytest.approx(np.linalg.norm(v))


def test_another_subspace_lies_where_activations_do():
    around = AROUND * (np.arange(8) < 5)
    for seed in range(5):
        got = vectors.random_subspace(EYE[:2], around, seed)
        np.testing.assert_allclose(got[:, [0, 1, 5, 6, 7]], 0, atol=1e-9)
        tensor = vectors.random_subspace(torch.eye(8)[:2], torch.tensor(around), seed)
        assert tensor.dtype == torch.float32
        np.testing.assert_allclose(np.abs(tensor @ got.T).sum(), np.abs(got @ got.T).sum(), atol=1)
