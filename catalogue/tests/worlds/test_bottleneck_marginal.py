"""What capacity is worth: the linear model, where it is known, and what must not move it."""

import pytest
import torch

from assay.core.bench import Unkept
from assay.core.errors import DataError
from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import Spec, grid
from assay_catalogue.worlds.bottleneck.capacity import at_capacities, capacity
from assay_catalogue.worlds.bottleneck.sparse_law import sparse_law

IMPORTANCE = torch.tensor([1.0, 0.7, 0.4, 0.1], dtype=torch.float64)
UNIT = torch.ones(3, dtype=torch.float64)
RUNS = Runs(grid(Spec(), seed=(1, 2, 3)))


def start(runs=3, gain=True):
    W = torch.randn(runs, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return {"W": W} | ({"gain": torch.ones(runs, 4, dtype=torch.float64)} if gain else {})


def linear(p):
    """Σ I_i E (x_i − a_i Σ_j (w_i·w_j) x_j)² of centred inputs of variance 1."""
    read = p["gain"].unsqueeze(2) * (p["W"] @ p["W"].transpose(1, 2))
    return (IMPORTANCE * (torch.eye(4, dtype=torch.float64) - read).square().sum(-1)).sum(-1)


def found(wanted, loss=linear, params=None, unit=UNIT, runs=RUNS, rounds=6):
    group = at_capacities(runs, params or start(len(runs)), loss, wanted, unit, inner=300)
    return fit([group], lambda step: None, steps=rounds * 300, bench=Unkept())[0].tensors


def test_in_a_linear_model_it_is_importance_times_variance_whatever_the_capacities():
    """In units of the variance, here another one in each run: Adam must not see it."""
    wanted, variance = (
        0.9 * capacity(start()["W"]),
        torch.tensor([1.0, 0.003, 40.0], dtype=torch.float64),
    )
    t = found(wanted, loss=lambda p: variance * linear(p), unit=variance)
    assert t["missed"].abs().max() < 1e-4
    torch.testing.assert_close(t["benefit"], IMPORTANCE.expand(3, 4), rtol=0.02, atol=0)
    left = (IMPORTANCE * (1 - wanted)).sum(-1)  # I_i σ² (1 − C_i)
    torch.testing.assert_close(linear(t), left, rtol=1e-3, atol=0)


@pytest.mark.thorough
def test_a_capacity_that_is_given_alone_is_worth_what_it_takes_from_the_next_in_line():
    """Winners take all: c for the third feature comes off the second one's, so −dL/dc = 0.4 −
    0.7."""
    wanted = torch.full((3, 4), torch.nan, dtype=torch.float64)
    wanted[:, 2] = 0.3
    t = found(wanted, rounds=12)
    best = int(linear(t).argmin())
    assert float(linear(t)[best]) == pytest.approx(0.4 * 0.7 + 0.7 * 0.3 + 0.1, rel=1e-3)
    assert t["benefit"][best].tolist() == pytest.approx([0, 0, -0.3, 0], abs=0.01)


def test_at_an_optimum_the_loss_has_no_slope_along_weights_yet_capacity_has_a_worth():
    t = found(torch.full((3, 4), torch.nan, dtype=torch.float64))
    best = int(linear(t).argmin())
    W = t["W"].clone().requires_grad_()
    [slope] = torch.autograd.grad(linear(t | {"W": W})[best], W)
    assert slope.abs().max() < 1e-3
    assert capacity(t["W"])[best].tolist() == pytest.approx([1, 1, 0, 0], abs=0.01)


def test_alone_is_as_in_an_ensemble():
    wanted = 0.9 * capacity(start()["W"])
    together = fit(
        [at_capacities(RUNS, start(), linear, wanted, UNIT, inner=20)],
        lambda s: None,
        steps=50,
        bench=Unkept(),
    )[0]
    params = {k: v[1:2] for k, v in start().items()}
    group = at_capacities(Runs(RUNS.specs[1:2]), params, linear, wanted[1:2], UNIT[1:2], inner=20)
    alone = fit([group], lambda s: None, steps=50, bench=Unkept())[0]
    for name in ("W", "benefit", "missed"):
        torch.testing.assert_close(
            alone.tensors[name][0], together.tensors[name][1], rtol=1e-5, atol=1e-9
        )


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([0.5, 0.5, 1.5, 0.0], "a capacity is a share of a dimension, from 0 to 1, got 1.5"),
        ([0.5, -0.1, 0.5, 0.0], "got -0.1"),
        ([0.9, 0.9, 0.9, 0.0], "capacities sum to at most the rank, 2, got 2.7"),
    ],
)
def test_impossible_capacities_are_one_line(wanted, said):
    with pytest.raises(DataError, match=said):
        at_capacities(RUNS, start(), linear, torch.tensor([wanted] * 3, dtype=torch.float64), UNIT)


@pytest.mark.thorough
def test_with_a_relu_it_is_the_slope_of_the_least_loss():
    """Five features in a plane, from a pentagon: the multiplier of the first capacity beside a
    finite difference."""
    angle = 2 * torch.pi * torch.arange(5, dtype=torch.float64) / 5
    law, step = sparse_law(5), 0.01
    density = torch.full((3,), 0.1, dtype=torch.float64)
    weights, unit = law.weights(density), (density / 3 - density**2 / 4) / 5
    importance = 0.9 ** torch.arange(5, dtype=torch.float64)

    def loss(p):
        return (importance * law.errors(p["W"] @ p["W"].transpose(1, 2), p["b"], weights)).mean(-1)

    wanted = torch.full((3, 5), 0.38, dtype=torch.float64)
    wanted[:, 0] += step * torch.tensor([0, 1, -1])
    nudge = 0.02 * torch.randn(
        5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    params = {
        "W": (torch.stack([angle.cos(), angle.sin()], 1) + nudge).repeat(3, 1, 1),
        "b": torch.zeros(3, 5, dtype=torch.float64),
    }
    t = found(wanted, loss=loss, params=params, unit=unit)
    least = loss(t) / unit
    assert t["missed"].abs().max() < 1e-4
    assert float(t["benefit"][0, 0]) == pytest.approx(
        float(least[2] - least[1]) / (2 * step), rel=0.02
    )
    assert (
        float(t["benefit"][0, 0]) > 1.5
    )  # far above the importance, which is what a linear model would gain
