"""The bottleneck toy: its formula by a naive loop, both ways of multiplying, and its start by seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from assay.core.runs import Runs
from assay.core.spec import Spec, grid
from assay.subjects import toy

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
            want = np.array([sum(W[i, k] * sum(W[j, k] * given[j] for j in range(f)) for k in range(d)) + b[i] for i in range(f)])
            np.testing.assert_allclose(out[r, row], np.maximum(want, 0) if relu else want, atol=1e-5)
    loss = toy.mean_square(toy.reconstruct(params, x, relu), x if not shared else x.expand(3, 4, f))
    np.testing.assert_allclose(loss, ((out - x.numpy()) ** 2).mean((1, 2)), rtol=1e-5)


def test_the_start_is_xavier_normal_and_belongs_to_the_seed():
    W = toy.bottleneck(RUNS, 400, 100)["W"]
    assert W.std().item() == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    assert torch.equal(W[1], toy.bottleneck(Runs([RUNS.specs[1]]), 400, 100)["W"][0])
