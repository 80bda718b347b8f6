"""Plateaus of curves whose shape is known."""

from __future__ import annotations

import numpy as np
import pytest

from assay_catalogue.analysis import plateaus


def sigmoids(*places, width=0.05, points=20_000):
    """A loss that falls by equal parts around these times, log-normally."""
    t = np.arange(points) + 1e-9
    return 1 - np.mean([1 / (1 + np.exp(-(np.log(t) - np.log(p)) / width)) for p in places], axis=0)


def test_depth_is_the_slowest_step_before_the_fastest_over_it():
    falls = np.array(
        [[0.2, 0.1, 0.4, 0.8, 0.05], [0.8, 0.4, 0.2, 0.1, 0.0], [0.5, -0.1, 1.0, 0.0, 0.0]]
    )
    losses = 10 - np.concatenate([np.zeros((3, 1)), falls.cumsum(1)], axis=1)
    np.testing.assert_allclose(plateaus.depth(losses), [0.125, 1.0, -0.1])
    assert plateaus.depth(losses + 7) == pytest.approx(plateaus.depth(losses))
    assert np.isnan(plateaus.depth(np.arange(5.0)))


@pytest.mark.parametrize("places", [(300,), (100, 1000), (30, 200, 2000)])
def test_every_fall_is_a_drop(places):
    assert plateaus.drops(sigmoids(*places)) == len(places)
    both = plateaus.drops(np.stack([sigmoids(*places), sigmoids(500)]))
    assert both.tolist() == [len(places), 1]


def test_a_faint_fall_is_none():
    loud, faint = sigmoids(100), sigmoids(2000)
    assert plateaus.drops(0.99 * loud + 0.01 * faint) == 1
    assert plateaus.drops(0.8 * loud + 0.2 * faint) == 2


def test_the_pace_of_a_power_law_is_known():
    """L = (t + 1)^−p falls by p t/(t + 1) · L per e-fold of time."""
    t = np.arange(5001)
    times, falling = plateaus.pace((t + 1.0) ** -0.5)
    late = (times > 20) & (times < 4000)
    want = 0.5 * times / (times + 1) * (times + 1) ** -0.5
    np.testing.assert_allclose(falling[late], want[late], rtol=0.01)


def test_times_are_first_steps():
    losses = np.array([[8.0, 6.0, 4.0, 4.0, 1.0], [8.0, 9.0, 9.0, 9.0, 9.0]])
    np.testing.assert_array_equal(plateaus.time_to(losses, 0.5), [2, np.nan])
    np.testing.assert_array_equal(plateaus.time_to(losses, 1.0), [0, 0])
