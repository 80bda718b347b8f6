"""The closed form of the expected loss against naive integrals in float64, its gradient against
autograd, and training with a run axis."""

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.descent import descent
from assay.core.fit import fit
from assay.core.runs import Runs
from assay.core.spec import Spec, grid
from assay_catalogue.worlds.bottleneck import one_hot


def runs_of(seeds):
    return Runs(grid(Spec(), seed=seeds))


def naive(W, b, relu=True, points=40_000):
    """E ‖x − x'‖² by the midpoint rule, input by input."""
    a = (np.arange(points) + 0.5) / points
    total = 0.0
    for i in range(len(W)):
        out = np.outer(a, W @ W[i]) + b
        out = np.maximum(out, 0) if relu else out
        target = np.zeros_like(out)
        target[:, i] = a
        total += np.square(target - out).sum(1).mean()
    return total / len(W)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("columns", [3, 6])
def test_the_closed_form_is_the_integral(columns, relu):
    params = one_hot.start(runs_of(range(5)), columns, 1.0, 0.7)
    found = one_hot.potential(params, relu)
    for W, b, value in zip(params["W"].numpy(), params["b"].numpy(), found, strict=True):
        assert float(value) == pytest.approx(naive(W, b, relu), rel=1e-7)


@pytest.mark.parametrize("relu", [True, False])
def test_the_gradient_is_what_small_changes_say(relu):
    params = one_hot.start(runs_of((3,)), 5, 1.0, 0.5)
    _, slope = one_hot.slopes(params, relu)
    for name, x in params.items():
        for i in range(x.numel()):
            moved = [{k: v.clone() for k, v in params.items()} for _ in range(2)]
            for sign, p in zip((1, -1), moved, strict=True):
                p[name].view(-1)[i] += sign * 1e-6
            up, down = (float(one_hot.potential(p, relu)) for p in moved)
            assert float(slope[name].view(-1)[i]) == pytest.approx((up - down) / 2e-6, abs=1e-8)


def test_autograd_gets_that_gradient_for_each_run():
    params = one_hot.start(runs_of(range(4)), 6, 1.0, 1.0)
    leaves = {k: v.clone().requires_grad_() for k, v in params.items()}
    weight = torch.tensor([1.0, 2.0, 0.0, -1.0], dtype=torch.float64)
    (one_hot.potential(leaves) * weight).sum().backward()
    _, slope = one_hot.slopes(params)
    torch.testing.assert_close(
        leaves["W"].grad, slope["W"] * weight[:, None, None], rtol=1e-12, atol=0
    )
    torch.testing.assert_close(leaves["b"].grad, slope["b"] * weight[:, None], rtol=1e-12, atol=0)


def test_no_weights_at_all_cost_a_third_less_what_biases_save():
    zero = {
        "W": torch.zeros(1, 6, 2, dtype=torch.float64),
        "b": torch.full((1, 6), -1.0, dtype=torch.float64),
    }
    assert float(one_hot.potential(zero)) == pytest.approx(1 / 3, abs=1e-15)
    assert float(
        one_hot.potential(zero | {"b": torch.full((1, 6), 1 / 12, dtype=torch.float64)})
    ) == pytest.approx(0.2916666667)


def test_curvatures_of_the_linear_model_are_those_of_autograd():
    params = one_hot.start(runs_of((2,)), 3, 1.0, 0.3)
    flat = torch.cat([params["W"].flatten(), params["b"].flatten()])

    def loss(x):
        a = torch.linspace(0, 1, 2_001, dtype=torch.float64)
        W, b = x[:6].view(3, 2), x[6:]
        out = a[:, None, None] * (W @ W.T) + b
        error = (
            (a[:, None, None] * torch.eye(3, dtype=torch.float64) - out).square().sum(-1).mean(-1)
        )
        return torch.trapezoid(error, a)

    expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))
    torch.testing.assert_close(
        one_hot.curvatures(params, relu=False)[0], expected, rtol=1e-5, atol=1e-5
    )


def test_batches_average_to_the_expected_loss():
    runs = runs_of((0, 1))
    params = one_hot.start(runs, 4, 1.0, 0.5)
    which, amount = one_hot.batches(runs, 4, 50_000, 50_000)(0)
    assert tuple(which.shape) == tuple(amount.shape) == (2, 50_000)
    torch.testing.assert_close(
        one_hot.batch_loss(params, (which, amount)), one_hot.potential(params), rtol=0.06, atol=0
    )
    i, a = int(which[1, 7]), float(amount[1, 7])
    W, b = params["W"][1].numpy(), params["b"][1].numpy()
    single = one_hot.batch_loss(
        {k: v[1:] for k, v in params.items()}, (which[1:, 7:8], amount[1:, 7:8])
    )
    target = a * (np.arange(4) == i)
    assert float(single) == pytest.approx(
        np.square(target - np.maximum(a * (W @ W[i]) + b, 0)).sum(), rel=1e-12
    )


def trained(seeds, steps):
    runs = runs_of(seeds)
    group = descent(
        runs,
        one_hot.start(runs, 6, 0.05),
        lambda p, _: one_hot.potential(p),
        lr=np.full(len(runs), 0.1),
        plain=True,
    )
    return fit([group], lambda step: None, steps=steps, bench=Unkept())[0].tensors


def test_a_run_alone_is_the_run_among_others():
    for steps, tolerance in ((0, 0.0), (50, 1e-5)):
        alone, among = trained((7,), steps), trained(range(16), steps)
        for name in ("W", "b"):
            torch.testing.assert_close(
                alone[name][0], among[name][7], rtol=tolerance, atol=tolerance
            )
