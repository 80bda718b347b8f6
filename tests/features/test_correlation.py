"""Streamed correlations: equal to np.corrcoef, however the rows are cut, and with a mean that
drowns the spread."""

import numpy as np
import pytest

from assay.features import correlation

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(300, 4)), rng.normal(size=(300, 3))
Y[:, 0] += X[:, 1]


def streamed(x, y, cuts):
    sums = correlation.start(x.shape[1], y.shape[1])
    for a, b in zip(np.split(x, cuts), np.split(y, cuts), strict=True):
        correlation.update(sums, a, b)
    return correlation.pearson(sums)


@pytest.mark.parametrize("cuts", [[], [1], [100, 101, 250], list(range(1, 300)), [0, 0, 150]])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_it_is_numpys_whatever_the_cuts(cuts, shift):
    expected = np.corrcoef(X.T, Y.T)[:4, 4:]
    np.testing.assert_allclose(streamed(X + shift, Y - shift, cuts), expected, atol=1e-7)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e6 / 3])
def test_a_column_that_does_not_vary_has_none(value):
    x = np.column_stack([np.full(10, value), np.arange(10.0), 1 / 3 + 1e-6 * np.arange(10.0)])
    found = streamed(x, x, [3])
    assert np.isnan(found[0]).all() and np.isnan(found[:, 0]).all()
    np.testing.assert_allclose(found[1:, 1:], 1)
