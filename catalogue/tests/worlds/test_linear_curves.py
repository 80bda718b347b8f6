"""Loss curves in closed form against naive simulations in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import Spec, grid
from assay_catalogue.analysis import plateaus
from assay_catalogue.worlds.linear import factors


def scalar(sigma, u0, lr, steps):
    """u and loss of ½(σ − uv)² with u = v, one step at a time."""
    u, us, losses = u0, [], []
    for _ in range(steps + 1):
        us.append(u)
        losses.append(0.5 * (sigma - u * u) ** 2)
        u += lr * (sigma - u * u) * u
    return np.array(us), np.array(losses)


@pytest.mark.parametrize("sigma, u0", [(1.0, 0.01), (4.0, 0.1), (0.5, 0.1)])
def test_small_steps_follow_the_scalar_solution(sigma, u0):
    lr = 1e-3 / sigma
    u, losses = scalar(sigma, u0, lr, 12_000)
    np.testing.assert_allclose(u**2, factors.rank_one(np.arange(12_001) * lr, sigma, u0), rtol=0.01)
    for share in (
        0.9,
        0.5,
        0.1,
    ):  # the loss falls to a share of the target's; both starts are near it
        first = np.argmax(losses <= share * 0.5 * sigma**2)
        assert factors.rank_one_time(sigma, u0, share) == pytest.approx(
            first * lr, rel=0.01, abs=lr
        )


def test_the_factors_of_one_by_one_matrices_are_the_scalar(bench):
    runs = Runs(grid(Spec(), seed=(0,)))
    loss = factors.square(torch.full((1, 1, 1), 2.0, dtype=torch.float64))
    same = {side: torch.full((1, 1, 1), 0.1, dtype=torch.float64) for side in "ab"}
    group = factors.gradient_descent(runs, same, loss, lr=np.array([1e-3]))
    curve = fit([group], lambda step: None, steps=4000, probe_at=range(1, 4001), bench=bench)[
        0
    ].history["loss"][0]
    np.testing.assert_allclose(curve, scalar(2.0, 0.1, 1e-3, 3999)[1], rtol=1e-9, atol=1e-15)
    t = np.arange(4000) * 1e-3
    assert np.abs(curve - 0.5 * (2 - factors.rank_one(t, 2.0, 0.1)) ** 2).max() < 0.01 * curve[0]


def test_a_free_matrix_falls_geometrically_and_has_no_plateau(bench):
    runs = Runs(grid(Spec(), seed=(0, 1)))
    start = factors.freed(factors.start(runs, 9, 3, np.array([0.3, 0.3])))
    group = factors.gradient_descent(
        runs, start, factors.square(factors.target(runs, 9, 3)), lr=np.array([1e-3, 0.1])
    )
    curves = fit([group], lambda step: None, steps=300, probe_at=range(1, 301), bench=bench)[
        0
    ].history["loss"]
    for curve, lr in zip(curves, (1e-3, 0.1), strict=True):
        np.testing.assert_allclose(
            curve,
            factors.free_matrix(np.arange(300), curve[0], lr),
            rtol=1e-9,
            atol=1e-12 * curve[0],
        )
    np.testing.assert_allclose(plateaus.depth(curves), 1.0)


def test_depth_follows_from_the_start_where_the_scalar_is_learned():
    """s(t) ∝ (σ − u²)² u²: fastest at u² = σ/3, so depth is (1 − x)² x / (4/27) at x = u₀²/σ."""
    for x in (0.001, 0.01, 0.1):
        _, losses = scalar(1.0, x**0.5, 1e-4, 80_000)
        assert plateaus.depth(losses) == pytest.approx((1 - x) ** 2 * x * 27 / 4, rel=0.01)
