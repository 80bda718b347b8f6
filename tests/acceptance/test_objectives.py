"""Losses on plain arrays, the gradient of AuxK against algebra, and what losses ask for."""

import numpy as np
import torch

from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses

RUNS, ROWS, D, F, OUT = 2, 6, 4, 6, 3
# rows since each latent last fired
DEAD = torch.tensor([[0, 100, 0, 100, 100, 0], [100, 0, 0, 0, 0, 0]])


def make(nonlinearity, transcoder=False, seed=0):
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    out = OUT if transcoder else D
    params = {
        "W_enc": draw(RUNS, D, F),
        "b_enc": 0.3 * draw(RUNS, F),
        "W_dec": draw(RUNS, F, out),
        "b_dec": 0.3 * draw(RUNS, out),
    }
    params |= {
        name: value.double() + 0.3 * draw(RUNS, F)
        for name, value in nonlinearity.init(RUNS, F).items()
    }
    params |= {name: draw(RUNS, D, F) for name in getattr(nonlinearity, "encoders", ())}
    if "threshold" in params:
        params["threshold"] = params["threshold"].abs()
    more = {}
    if transcoder:
        params |= {"b_pre": 0.3 * draw(RUNS, D), "W_skip": draw(RUNS, D, out)}
        more = {"y": draw(ROWS, out)}
    return params, draw(ROWS, D), torch.tensor([0.1, 0.7], dtype=torch.float64), more


def test_the_terms_on_plain_arrays():
    x, x_hat = np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([[0.0, 0.0], [0.0, 2.0]])
    assert losses.squared_error(x, x_hat).item() == (9 + 4) / 2 / 2
    assert losses.feature_sum(np.array([[1.0, 2.0], [0.0, 5.0]]), 4).item() == (3 + 5) / 2 / 2


def test_auxk_moves_dead_latents_towards_the_residual_and_nothing_else():
    params, x, penalty, _ = make(TopK(2))
    loss, dead = losses.TopKAux(alpha=1.0, dead_after=50), DEAD >= 50
    grads = {}
    for idle in (None, DEAD):
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        loss(leaves, x, TopK(2), penalty, idle=idle).sum().backward()
        grads[idle is None] = {name: leaf.grad for name, leaf in leaves.items()}
    moved = grads[False]["W_dec"] - grads[True]["W_dec"]
    assert (moved[~dead] == 0).all() and (moved[dead].abs().sum(-1) > 0).any()
    assert ((grads[False]["b_enc"] - grads[True]["b_enc"])[~dead] == 0).all()
    # the decoder's bias hears of it only as the encoder's centre
    through = -((grads[False]["b_enc"] - grads[True]["b_enc"])[:, None] @ params["W_enc"].mT)[:, 0]
    torch.testing.assert_close(grads[False]["b_dec"] - grads[True]["b_dec"], through)


def test_what_losses_ask_for():
    assert losses.wants(losses.l1) == {"y"}
    assert losses.wants(losses.topk_aux) == {"y", "idle"}
    assert losses.wants(lambda params, x, nonlinearity, penalty, progress: penalty) == {"progress"}
    assert losses.wants(lambda params, x, nonlinearity, penalty: penalty) == set()
