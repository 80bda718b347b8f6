"""Plateaus of curves whose shape is known, and the closed forms against naive simulations in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import Spec, grid
from assay.subjects import factors
from assay.theory import plateaus


def scalar(sigma, u0, lr, steps):
    """u and loss of ½(σ − uv)² with u = v, one step at a time."""
    u, us, losses = u0, [], []
    for _ in range(steps + 1):
        us.append(u)
        losses.append(0.5 * (sigma - u * u) ** 2)
        u += lr * (sigma - u * u) * u
    return np.array(us), np.array(losses)


def sigmoids(*places, width=0.05, points=20_000):
    """A loss that falls by equal parts around these times, log-normally."""
    t = np.arange(points) + 1e-9
    return 1 - np.mean([1 / (1 + np.exp(-(np.log(t) - np.log(p)) / width)) for p in places], axis=0)


# --- closed forms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma, u0", [(1.0, 0.01), (4.0, 0.1), (0.5, 0.1)])
def test_small_steps_follow_the_scalar_solution(sigma, u0):
    lr = 1e-3 / sigma
    u, losses = scalar(sigma, u0, lr, 12_000)
    np.testing.assert_allclose(u**2, plateaus.rank_one(np.arange(12_001) * lr, sigma, u0), rtol=0.01)
    for share in (0.9, 0.5, 0.1):  # the loss falls to a share of the target's; both starts are near it
        first = np.argmax(losses <= share * 0.5 * sigma**2)
        assert plateaus.rank_one_time(sigma, u0, share) == pytest.approx(first * lr, rel=0.01, abs=lr)


def test_the_factors_of_one_by_one_matrices_are_the_scalar(bench):
    runs = Runs(grid(Spec(), seed=(0,)))
    loss = factors.square(torch.full((1, 1, 1), 2.0, dtype=torch.float64))
    same = {side: torch.full((1, 1, 1), 0.1, dtype=torch.float64) for side in "ab"}
    group = factors.gradient_descent(runs, same, loss, lr=np.array([1e-3]))
    curve = fit([group], lambda step: None, steps=4000, probe_at=range(1, 4001), bench=bench)[0].history["loss"][0]
    np.testing.assert_allclose(curve, scalar(2.0, 0.1, 1e-3, 3999)[1], rtol=1e-9, atol=1e-15)
    t = np.arange(4000) * 1e-3
    assert np.abs(curve - 0.5 * (2 - plateaus.rank_one(t, 2.0, 0.1)) ** 2).max() < 0.01 * curve[0]


def test_a_free_matrix_falls_geometrically_and_has_no_plateau(bench):
    runs = Runs(grid(Spec(), seed=(0, 1)))
    start = factors.freed(factors.start(runs, 9, 3, np.array([0.3, 0.3])))
    group = factors.gradient_descent(runs, start, factors.square(factors.target(runs, 9, 3)), lr=np.array([1e-3, 0.1]))
    curves = fit([group], lambda step: None, steps=300, probe_at=range(1, 301), bench=bench)[0].history["loss"]
    for curve, lr in zip(curves, (1e-3, 0.1), strict=True):
        np.testing.assert_allclose(curve, plateaus.free_matrix(np.arange(300), curve[0], lr), rtol=1e-9, atol=1e-12 * curve[0])
    np.testing.assert_allclose(plateaus.depth(curves), 1.0)


# --- measures -----------------------------------------------------------------------------------------------------------


def test_depth_is_the_slowest_step_before_the_fastest_over_it():
    falls = np.array([[0.2, 0.1, 0.4, 0.8, 0.05], [0.8, 0.4, 0.2, 0.1, 0.0], [0.5, -0.1, 1.0, 0.0, 0.0]])
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


def test_depth_follows_from_the_start_where_the_scalar_is_learned():
    """s(t) ∝ (σ − u²)² u²: fastest at u² = σ/3, so depth is (1 − x)² x / (4/27) at x = u₀²/σ."""
    for x in (0.001, 0.01, 0.1):
        _, losses = scalar(1.0, x**0.5, 1e-4, 80_000)
        assert plateaus.depth(losses) == pytest.approx((1 - x) ** 2 * x * 27 / 4, rel=0.01)
