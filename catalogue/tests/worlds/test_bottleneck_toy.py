"""The bottleneck toy: its formula by a naive loop, both ways of multiplying, and its start by
seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.bench import Unkept
from assay.core.runs import Runs
from assay.core.spec import Spec, grid
from assay.data import planted
from assay_catalogue.worlds.bottleneck import toy

RUNS = Runs(grid(Spec(), seed=(1, 2, 3)))


@pytest.mark.parametrize("f, d", [(6, 2), (30, 2)], ids=["through WᵀW", "through the bottleneck"])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_it_is_the_formula(f, d, relu, shared):
    params = toy.bottleneck(RUNS, f, d) | {"b": 0.1 * torch.randn(3, f)}
    x = torch.rand(4, f) if shared else torch.rand(3, 4, f)
    out = toy.reconstruct(params, x, relu).double().numpy()
    for r in range(3):
        W, b = (params[k][r].double().numpy() for k in "Wb")
        for row in range(4):
            given = (x if shared else x[r])[row].double().numpy()
            want = np.array(
                [
                    sum(W[i, k] * sum(W[j, k] * given[j] for j in range(f)) for k in range(d))
                    + b[i]
                    for i in range(f)
                ]
            )
            np.testing.assert_allclose(
                out[r, row], np.maximum(want, 0) if relu else want, atol=1e-5
            )
    loss = toy.mean_square(toy.reconstruct(params, x, relu), x if not shared else x.expand(3, 4, f))
    np.testing.assert_allclose(loss, ((out - x.numpy()) ** 2).mean((1, 2)), rtol=1e-5)


def test_the_start_is_xavier_normal_and_belongs_to_the_seed():
    W = toy.bottleneck(RUNS, 400, 100)["W"]
    assert W.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    assert torch.equal(W[1], toy.bottleneck(Runs([RUNS.specs[1]]), 400, 100)["W"][0])


def test_the_weighted_loss_is_its_formula_and_linear_in_importance():
    a, b = torch.rand(3, 4, 5, dtype=torch.float64), torch.rand(3, 4, 5, dtype=torch.float64)
    weight = torch.rand(3, 5, dtype=torch.float64).requires_grad_()
    loss = toy.weighted_square(a, b, weight)
    for r in range(3):
        want = (
            sum(weight[r, i] * (a[r, n, i] - b[r, n, i]) ** 2 for n in range(4) for i in range(5))
            / 20
        )
        assert loss[r].item() == pytest.approx(want.item(), rel=1e-12)
    # by backprop: how much a feature's importance weighs is its mean squared error over the number
    # of features
    [grad] = torch.autograd.grad(loss.sum(), weight)
    torch.testing.assert_close(grad, (a - b).square().mean(1) / 5)


def test_the_gradient_of_the_mean_square_is_autograds_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(3, 7, 5, generator=generator).requires_grad_() for _ in range(2))
    weights = torch.tensor([1.0, 0.3, -2.0])
    off = (a - b).flatten(1)
    plain = torch.linalg.vecdot(off, off) / off.shape[1]
    assert torch.equal(toy.mean_square(a, b), plain)
    expected = torch.autograd.grad((weights * plain).sum(), (a, b))
    found = torch.autograd.grad((weights * toy.mean_square(a, b)).sum(), (a, b))
    assert all(torch.equal(f, e) for f, e in zip(found, expected, strict=True))


def test_the_gradient_of_the_weighted_square_is_autograds_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(3, 7, 5, generator=generator).requires_grad_() for _ in range(2))
    importance, weights = torch.rand(3, 5, generator=generator), torch.tensor([1.0, 0.3, -2.0])
    off = (a - b).flatten(1)
    plain = (
        torch.linalg.vecdot(off, off * importance.unsqueeze(1).expand(a.shape).flatten(1))
        / off.shape[1]
    )
    assert torch.equal(toy.weighted_square(a, b, importance), plain)
    expected = torch.autograd.grad((weights * plain).sum(), (a, b))
    found = torch.autograd.grad((weights * toy.weighted_square(a, b, importance)).sum(), (a, b))
    assert all(torch.equal(f, e) for f, e in zip(found, expected, strict=True))


def test_equal_importance_is_the_mean_square():
    a, b = torch.rand(3, 4, 5), torch.rand(3, 4, 5)
    assert torch.equal(toy.weighted_square(a, b, torch.ones(3, 5)), toy.mean_square(a, b))


def test_importances_fall_by_the_ratio_in_an_order_that_belongs_to_the_seed():
    seeds = np.array([7, 8, 7, 9])
    np.testing.assert_allclose(toy.importances(seeds, 3, 0.5), [[1, 0.5, 0.25]] * 4)
    np.testing.assert_allclose(
        toy.importances(seeds, 3, np.array([0.5, 1, 2, 0.1]))[:, 1], [0.5, 1, 2, 0.1]
    )
    drawn = toy.importances(seeds, 5, 0.5, permuted=True)
    np.testing.assert_allclose(
        drawn.sort(1, descending=True).values, [[1, 0.5, 0.25, 0.125, 0.0625]] * 4
    )
    assert torch.equal(drawn[0], drawn[2]) and torch.equal(
        drawn[1], toy.importances(seeds[1:2], 5, 0.5, permuted=True)[0]
    )
    orders = {tuple(row) for row in toy.importances(np.arange(50), 5, 0.5, permuted=True).tolist()}
    assert len(orders) > 25  # 50 of 120 orders, hardly two alike


def test_each_density_of_a_run_has_its_own_model_and_loss():
    importance = torch.tensor([[1.0, 0.5, 0.25]] * 3)
    params = {"W": torch.randn(3, 2, 3, 1), "b": torch.randn(3, 2, 3)}
    x = torch.rand(6, 5, 3)  # run by run, both densities of each
    found = toy.density_losses(params, x, importance)
    for r in range(3):
        for p in range(2):
            one = {k: v[r, p][None] for k, v in params.items()}
            want = toy.weighted_square(
                toy.reconstruct(one, x[2 * r + p][None]), x[2 * r + p][None], importance[r][None]
            )
            torch.testing.assert_close(found[r, p], want[0])
    made = toy.models(RUNS.seeds, (0.1, 1.0))
    assert (
        made.seeds.tolist() == [1, 1, 2, 2, 3, 3]
        and made.each("density").tolist() == [0.1, 1.0] * 3
    )


def test_a_density_trains_as_if_it_were_alone():
    importance = torch.tensor([[1.0, 0.5, 0.25]] * 3)

    def trained(*densities):
        batches = planted.sparse_features(toy.models(RUNS.seeds, densities), 3, 16)
        return toy.train_densities(
            RUNS, 1, importance, densities, batches, lr=0.01, steps=30, bench=Unkept()
        ).tensors

    both, alone = trained(0.2, 1.0), trained(1.0)
    for name in ("W", "b"):
        torch.testing.assert_close(both[name][:, 1], alone[name][:, 0], rtol=1e-5, atol=1e-7)
