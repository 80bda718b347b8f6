"""How many entries carry a vector: numbers worked out by hand and in closed form, a naive loop
each, and laws of random vectors."""

from __future__ import annotations

from math import erfc, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import beta

from assay_catalogue.dictionaries import concentration as of


def k90(w):
    return of.fewest(np.square(w))


def test_vectors_by_hand():
    w = np.array([3.0, 4, 0, 0])
    assert of.gini(w) == pytest.approx(0.535714, abs=1e-6)
    assert k90(w) == 2
    assert of.excess_kurtosis(w) == pytest.approx(-1.847751, abs=1e-6)
    w = np.array([1.0, -2, 2, 0, 4])
    assert of.gini(np.abs(w)) == pytest.approx(0.4, abs=1e-9)
    assert of.excess_kurtosis(w) == pytest.approx(-0.95, abs=1e-9)


def test_one_entry_and_entries_of_one_size():
    n, one = 512, np.eye(512)[7]
    assert (k90(one), of.large(one)) == (1, 1)
    assert (
        of.excess_kurtosis(one)
        == pytest.approx(n**2 / (n - 1) - 6)
        == pytest.approx(507.001957, abs=1e-6)
    )
    assert of.gini(one) == pytest.approx(0.998047, abs=1e-6)
    signs = np.tile([1.0, -1.0], n // 2)
    assert (
        of.excess_kurtosis(signs),
        k90(signs),
        of.gini(np.abs(signs)),
    ) == (-2, 461, pytest.approx(0))
    assert np.isnan(of.excess_kurtosis(np.ones(3))) and np.isnan(k90(np.zeros(3)))


def test_random_rows_as_their_laws_say():
    n, rows = 512, 400
    W = np.random.default_rng(0).standard_normal((rows, n))

    def close(values, expected, spread=None):
        se = values.std(ddof=1) / rows**0.5
        assert values.mean() == pytest.approx(expected, abs=4 * se)
        assert spread is None or values.std(ddof=1) == pytest.approx(spread, rel=0.15)

    close(of.excess_kurtosis(W), -6 / (n + 1), 0.21)
    assert of.gini(np.abs(W)).mean() == pytest.approx(sqrt(2) - 1, abs=0.002)
    assert k90(W).mean() == pytest.approx(0.4446 * n, rel=0.01) and of.fewest(
        W**2, 0.5
    ).mean() == pytest.approx(0.1240 * n, rel=0.02)
    exact = n * beta.sf(
        0.01, 1 / 2, (n - 1) / 2
    )  # the square of an entry of a random unit vector is Beta(1/2, (n − 1)/2)
    assert exact == pytest.approx(12.035, abs=1e-3) and n * erfc(
        0.1 * sqrt(n / 2)
    ) == pytest.approx(12.11, abs=0.01), "as normal numbers"
    close(of.large(W), exact)


@settings(max_examples=60)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(2, 9)),
        elements=st.floats(-4, 4).map(lambda x: round(x, 3)),
    )
)
def test_each_is_its_naive_loop(W):
    for w, k, g, f, big in zip(
        W,
        of.excess_kurtosis(W),
        of.gini(np.abs(W)),
        k90(W),
        of.large(W),
        strict=True,
    ):
        square = [x * x for x in w]
        if not sum(square) > 1e-6:
            continue
        m = sum(w) / len(w)
        m2, m4 = (sum((x - m) ** q for x in w) / len(w) for q in (2, 4))
        if m2 > 1e-6:
            assert k == pytest.approx(m4 / m2**2 - 3, rel=1e-6, abs=1e-6)
        pairs = sum(
            abs(abs(a) - abs(b)) for a in w for b in w
        )  # the mean absolute difference, another definition
        assert g == pytest.approx(pairs / (2 * len(w) * sum(map(abs, w))))
        held, count = 0.0, 0
        for s in sorted(square, reverse=True):
            if held >= 0.9 * sum(square) * (1 - 1e-12):
                break
            held, count = held + s, count + 1
        assert f == count
        assert abs(big - sum(abs(x) >= 0.1 * sum(square) ** 0.5 for x in w)) <= sum(
            abs(abs(x) - 0.1 * sum(square) ** 0.5) < 1e-9 for x in w
        )
