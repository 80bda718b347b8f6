"""EffectPenalty: its loss by a naive loop, its gradients against autograd, its metrics scaled;
halves of a dictionary and their effects."""

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay.dictionaries.selection import TopK
from assay.dictionaries.training.losses import EffectPenalty, priced
from assay.dictionaries.training.train import Method, start
from assay_catalogue.dictionaries.path_shares import effect_sums, halves

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


def test_halves_are_of_equal_size_and_parted_by_number_by_share_and_by_lot():
    share = torch.tensor([0.1, 0.9, 0.5, 0.2, 0.8, torch.nan])
    parted = halves(share, 3)
    assert parted["trained"].tolist() == [0, 0, 0, 1, 1, 1]
    assert parted["sorted"].tolist() == [1, 0, 0, 1, 0, 1] or parted["sorted"].tolist() == [
        1,
        0,
        1,
        1,
        0,
        0,
    ]
    assert parted["random"].sum() == 3
    assert halves(share, 3)["random"].equal(parted["random"])


def test_effects_are_summed_by_path_half_and_document():
    draw = np.random.default_rng(0)
    features = draw.uniform(size=(6, 4)) * (draw.uniform(size=(6, 4)) < 0.6)
    rows = draw.normal(size=(4, 3))
    pulls = [{path: draw.normal(size=(6, 3)) for path in ("direct", "indirect")} for _ in range(2)]
    half, document = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1, 1, 2])
    given = [{path: torch.from_numpy(g) for path, g in one.items()} for one in pulls]
    parted = {"one": torch.from_numpy(half), "other": torch.from_numpy(1 - half)}
    found = effect_sums(
        torch.from_numpy(features),
        torch.from_numpy(rows),
        given,
        parted,
        torch.from_numpy(document),
        3,
    )
    for path in ("direct", "indirect"):
        expected = np.zeros((3, 2))
        for t in range(6):
            for i in range(4):
                expected[document[t], half[i]] += np.mean(
                    [(features[t, i] * (one[path][t] @ rows[i])) ** 2 for one in pulls]
                )
        np.testing.assert_allclose(found[path], [expected, expected[:, ::-1]])
    assert found["active"][0].sum() == (features > 0).sum()
