"""Reading values off what a part writes: as a naive loop does it, and as normal distributions have
it."""

from __future__ import annotations

import numpy as np
import pytest

from assay_catalogue.circuits.verify.reading import ROUNDING, distinguished, together


def naive(written, values, read):
    """Read one cell after the other, each mean and each distance by itself."""
    n, s, d = written.shape
    rows = [
        written[m, i]
        - np.mean([written[k, i] for k in range(n) if values[k, i] == values[m, i]], 0)
        for i in range(s)
        for m in range(n)
    ]
    free = sum(n - len(set(values[:, i])) for i in range(s))
    within = sum(np.outer(r, r) for r in rows) / free
    within += ROUNDING * written.var((0, 1)).sum() * np.eye(d)

    def distance(x, others):
        off = x - np.mean(others, 0)
        return off @ np.linalg.solve(within, off)

    own, other = np.full((2, n, s), np.nan)
    for m in range(n):
        for i in range(s):
            mine = [
                written[k, i]
                for k in range(n)
                if values[k, i] == values[m, i] and read[k, i] != read[m, i]
            ]
            own[m, i] = distance(written[m, i], mine) if mine else np.nan
            other[m, i] = min(
                distance(written[m, i], [written[k, i] for k in range(n) if values[k, i] == v])
                for v in set(values[:, i]) - {values[m, i]}
            )
    return np.tanh((other - np.where(np.isnan(own), np.nanmean(own), own)) / 4)


def test_it_is_what_a_loop_over_cells_gives():
    of = np.random.default_rng(0)
    values = of.integers(5, size=(40, 3))
    values[0, 0] = 5  # a value that no other input has
    read = np.stack([of.permutation(40) for _ in range(3)], 1)
    read[1] = read[2]
    written = of.normal(size=(40, 3, 4)) + 0.7 * values[..., None]
    assert distinguished(written, values, read) == pytest.approx(naive(written, values, read))


def test_of_two_normal_distributions_it_is_twice_the_probability_less_one():
    """Formula: 2 / (1 + exp(−δ x)) − 1 at x from the middle between means that lie δ apart."""
    n, apart = 40_000, 1.5
    of = np.random.default_rng(1)
    values = of.integers(2, size=(n, 1))
    sign = 2 * values[:, 0] - 1
    x = of.normal(size=n) + apart / 2 * sign
    found = distinguished(x[:, None, None], values, np.arange(n)[:, None])[:, 0]
    assert found == pytest.approx(2 / (1 + np.exp(-apart * x * sign)) - 1, abs=0.03)


def test_what_is_not_there_is_not_distinguished():
    """A value and its half, with and without noise; a number of each input; nothing at all."""
    n = 2000
    of = np.random.default_rng(2)
    value, half = of.integers(4, size=(2, n, 1))
    each = np.arange(n)[:, None]
    for noise in (0.0, 0.1):
        written = (value + noise * of.normal(size=(n, 1)))[..., None]
        assert distinguished(written, value, each).mean() > 0.95
        assert abs(distinguished(written, 4 * value + half, each).mean()) < 0.1
        assert (distinguished(written, each, each) == -1).all()
    # Numbers of nine inputs in ten, the value of the tenth.
    most = np.where(of.random((n, 1)) < 0.9, each + 10, value)
    most = np.unique(most, return_inverse=True)[1].reshape(n, 1)
    assert distinguished(written, most, each).mean() < 0.15
    assert not distinguished(written, 0 * value, each).any()


def test_a_place_that_holds_nothing_of_a_variable_makes_the_others_worth_nothing():
    held, empty, felt = np.ones((6, 2)), np.zeros((6, 2)), np.full((6, 2), 0.5)
    assert (together([held], felt) == 1).all() and (together([held, held, held], felt) == 1).all()
    assert not together([held, held, empty], felt).any()
