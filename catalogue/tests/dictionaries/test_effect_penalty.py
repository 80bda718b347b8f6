"""EffectPenalty: its loss by a naive loop, its gradients against autograd, its metrics
scaled."""

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay.dictionaries.selection import TopK
from assay.dictionaries.training.train import Method, start
from assay_catalogue.dictionaries.effect_penalty import EffectPenalty, priced

RUNS, D, F, B = 3, 7, 12, 20


def made(blocks):
    draw = torch.Generator().manual_seed(0)
    A = torch.randn(blocks, D, D, generator=draw)
    loss = EffectPenalty(A @ A.mT)
    params = start(
        np.arange(RUNS),
        Method(TopK(3), loss, F, lr=np.ones(RUNS), penalty=np.ones(RUNS), encoder_scale=1.0),
        D,
    )
    params = {name: x + 0.1 * torch.randn(x.shape, generator=draw) for name, x in params.items()}
    return loss, params, torch.randn(B, D, generator=draw), torch.tensor([0.0, 0.3, 2.0])


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_each_feature_pays_for_what_it_does_in_the_metric_of_its_block(blocks):
    loss, params, x, penalty = made(blocks)
    params = {**params, "W_enc": params["W_enc"].mT}
    found = loss(params, x, TopK(3), penalty)
    for r in range(RUNS):
        total = 0.0
        for row in x:
            pre = (row - params["b_dec"][r]) @ params["W_enc"][r] + params["b_enc"][r]
            on = sorted(range(F), key=lambda i: -float(pre[i]))[:3]
            features = {i: max(0.0, float(pre[i])) for i in on}
            x_hat = params["b_dec"][r] + sum(f * params["W_dec"][r, i] for i, f in features.items())
            total += float((row - x_hat).square().sum()) / D
            for i, f in features.items():
                w, M = params["W_dec"][r, i], loss.metrics[i // (F // blocks)]
                total += float(penalty[r]) * f**2 * float(w @ M @ w)
        assert float(found[r]) == pytest.approx(total / B, rel=1e-4)


def test_features_that_cannot_be_shared_equally_and_metrics_without_an_effect_are_refused():
    loss, params, *_ = made(2)
    with pytest.raises(SpecError, match="11 features cannot be shared equally by 2 blocks"):
        loss.prices(params["W_dec"][:, :11])
    with pytest.raises(SpecError, match="nothing to pay for"):
        priced(torch.zeros(D, D), torch.eye(D))


def test_a_priced_metric_makes_all_that_is_reconstructed_cost_one():
    loss, _, x, _ = made(1)
    M = priced(loss.metrics[0], x.T @ x / B)
    assert float(((x @ M) * x).sum(1).mean()) == pytest.approx(1, rel=1e-5)
