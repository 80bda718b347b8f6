"""Decoder redundancy against loops over pairs, and counts of directions on decoders whose number is
known."""

import math

import numpy as np
import pytest
import torch

from assay.core.errors import DataError
from assay.dictionaries.measuring import redundancy
from assay.dictionaries.measuring.measures import TABLE
from assay.dictionaries.measuring.redundancy import effective_dimensions, nearest_cosine, twinned

KINDS = [np.asarray, torch.as_tensor]


def rows(f=30, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(f, d))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("held", [7, 1 << 24])
def test_loops_over_all_pairs(kind, held, monkeypatch):
    monkeypatch.setattr(redundancy, "_ENTRIES", held)
    W = rows()
    pairs = [[cosine(a, b) for b in W] for a in W]
    nearest = [max(c for j, c in enumerate(line) if j != i) for i, line in enumerate(pairs)]
    assert nearest_cosine(kind(W)).tolist() == pytest.approx(nearest)
    assert float(effective_dimensions(kind(W))) == pytest.approx(
        len(W) ** 2 / sum(c * c for line in pairs for c in line)
    )


def test_equal_rows_are_as_near_as_can_be():
    basis = np.linalg.qr(rows(6, 6))[0]
    W = np.concatenate([basis[[0]] * [[s] for s in (1, 2, 3)], basis[1:4]])
    assert nearest_cosine(W)[:3].tolist() == pytest.approx([1, 1, 1])
    assert effective_dimensions(basis[:4]) == pytest.approx(4)
    assert effective_dimensions(W) == pytest.approx(36 / (9 + 3))


def test_opposite_rows_are_far_apart_in_one_dimension():
    W = np.array([[1.0, 0], [-2.0, 0]])
    assert nearest_cosine(W).tolist() == [-1, -1]
    assert effective_dimensions(W) == pytest.approx(1)


def test_rows_of_zero_are_left_out():
    W = np.array([[1.0, 0], [0, 0], [1.0, 0.01]])
    assert np.isnan(nearest_cosine(W)).tolist() == [False, True, False]
    assert effective_dimensions(W) == pytest.approx(1, abs=1e-3)
    assert np.isnan(nearest_cosine(W[:1])).all()
    assert math.isnan(effective_dimensions(np.zeros((2, 3))))


def test_runs_and_precision():
    W = np.stack([rows(seed=s) for s in range(3)])
    for measure in (nearest_cosine, effective_dimensions):
        assert measure(W).tolist() == [np.asarray(measure(one)).tolist() for one in W]
        single = measure(torch.from_numpy(W).float())
        assert single.dtype == torch.float64
        np.testing.assert_allclose(single, measure(W), rtol=1e-4)


def test_random_directions_have_the_expected_nearest_cosine():
    """In d dimensions the cosine of random directions has (1 + c)/2 ~ Beta((d−1)/2, (d−1)/2); the
    largest of f−1 follows."""
    from scipy.stats import beta

    f, d = 400, 16
    c = np.linspace(-1, 1, 20001)
    expected = 1 - np.trapezoid(beta.cdf((1 + c) / 2, (d - 1) / 2, (d - 1) / 2) ** (f - 1), c)
    assert nearest_cosine(rows(f, d)).mean() == pytest.approx(expected, abs=0.01)


def test_a_decoder_has_rows():
    with pytest.raises(
        DataError, match=r"\[f, d\] or \[run, f, d\] with at least one row, got \[0, 3\]"
    ):
        nearest_cosine(np.zeros((0, 3)))


def test_a_twin_is_on_as_well_as_a_naive_loop_over_pairs_says():
    rng = np.random.default_rng(3)
    W, firings = rng.normal(size=(30, 8)), rng.integers(0, 3, 30)
    W[10:20] = W[:10] + 0.2 * rng.normal(size=(10, 8))  # cosines on both sides of .9
    wanted = [
        any(
            i != j
            and firings[i] > 0
            and firings[j] > 0
            and W[i] @ W[j] / np.linalg.norm(W[i]) / np.linalg.norm(W[j]) > 0.9
            for j in range(30)
        )
        for i in range(30)
    ]
    assert 4 <= sum(wanted) < 20
    assert twinned(W, firings).tolist() == wanted

    (measure,) = (m for m in TABLE if m.name == "twins")
    assert measure.of(firings, 90, twinned(W, firings)) == sum(wanted) / (firings > 0).sum()
    assert np.isnan(measure.of(np.zeros(3), 90, np.zeros(3, bool)))
