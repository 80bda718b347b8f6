"""A lone feature under an L1 penalty dies as the flow says: slopes, directions and floors against
quoted numbers and torch."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from assay_catalogue.dictionaries.dynamics import isolated

# Slopes of log10 density on log10 time in [1e2, 1e4], [1e4, 1e6], [1e6, 1e9], start across the
# mean, bias 0: integrated apart
SLOPES = {1: (-1.30, -1.17, -1.11), 2: (-1.43, -1.24, -1.14), 4: (-0.88, -1.09, -1.29)}
# κ at t = 1e9 by (mean, start bias, bias held)
KAPPAS = {
    (1, 0, False): 0.711,
    (2, 0, False): 0.972,
    (4, 0, False): 0.9996,
    (1, -1, False): 0.258,
    (4, -1, False): 0.875,
    (1, -1, True): 0.358,
    (2, -1, True): 0.767,
    (4, -1, True): 0.956,
    (1, 0, True): 1.0,
    (2, 0, True): 1.0,
}


@pytest.mark.parametrize("mean", SLOPES)
def test_no_equilibrium_with_a_free_bias(mean):
    path = isolated.flow(mean)
    spans = ((1e2, 1e4), (1e4, 1e6), (1e6, 1e9))
    assert [path.slope(*span) for span in spans] == pytest.approx(SLOPES[mean], abs=0.1)


@pytest.mark.parametrize(("mean", "floor"), [(1, 0.1587), (2, 0.0228), (4, 3.17e-5)])
def test_the_floor_of_a_bias_held_at_zero(mean, floor):
    path = isolated.flow(mean, held=True)
    assert path.density[-1] == pytest.approx(floor, rel=0.05)
    assert isolated.floor(mean) == pytest.approx(norm.cdf(-mean), rel=1e-12)
    assert path.cosine[-1] == pytest.approx(-1, abs=1e-3)


@pytest.mark.parametrize("case", KAPPAS)
def test_directions_meet_where_the_bias_stays(case):
    mean, bias, held = case
    assert isolated.flow(mean, bias=bias, held=held).alignment[-1] == pytest.approx(
        KAPPAS[case], abs=0.02
    )


def test_without_a_mean_no_direction_is_shared():
    assert isolated.flow(0.0, end=1e6).alignment[-1] == pytest.approx(0, abs=1e-9)


def test_the_flow_is_descent_on_the_loss():
    """One small Euler step of the flow against torch's gradient of the closed form of λ E
    ReLU(z)."""
    mu, s, lam = torch.tensor([0.7, 0.0], dtype=torch.float64), 1.3, 0.4
    w = torch.tensor([0.3, 0.8], dtype=torch.float64, requires_grad=True)
    b = torch.tensor(-0.2, dtype=torch.float64, requires_grad=True)
    u = (w @ mu + b) / (s * w.norm())
    normal = torch.distributions.Normal(0.0, 1.0)
    (lam * ((w @ mu + b) * normal.cdf(u) + s * w.norm() * normal.log_prob(u).exp())).backward()
    path = isolated.flow(
        0.7, spread=s, parallel=0.3, across=0.8, bias=-0.2, penalty=lam, end=2e-3, points=2
    )
    dt = path.time[1] - path.time[0]
    moved = np.array([np.diff(path.along)[0], np.diff(path.across)[0], np.diff(path.bias)[0]]) / dt
    assert moved == pytest.approx([-w.grad[0].item(), -w.grad[1].item(), -b.grad.item()], rel=2e-3)
