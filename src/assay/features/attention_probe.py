"""A probe that chooses where to look: rows of tokens are pooled by a learned query before one
linear map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.descent import Adam, adam_state
from assay.core.heavy import torch
from assay.features.kernel_probe import Questions, _select

RATES = (0.02, 0.1)


def components(
    x: Float[torch.Tensor, "q row s d"],
    present: Bool[torch.Tensor, "q row s"],
    train: Int[torch.Tensor, "q n"],
    rank: int = 24,
) -> Float[torch.Tensor, "q row s k"]:
    """All tokens in the first `rank` principal components of the training rows' tokens, each with
    unit variance.

    By subspace iteration from a fixed start. No answers are read.
    """
    projections = []
    for i in range(len(x)):
        tokens = x[i, train[i]][present[i, train[i]]]
        centre = tokens.mean(0)
        rows = tokens - centre
        axes = torch.from_numpy(
            rng.normal(np.zeros(1, int), "attention-probe.start", 0, (x.shape[-1], rank))[0]
        )
        for _ in range(4):
            axes = torch.linalg.qr(rows.mT @ (rows @ axes))[0]
        z = (x[i] - centre) @ axes
        spread = (rows @ axes).std(0, correction=0)
        projections.append(z / spread.clamp_min(1e-6 * float(spread.max()) + 1e-9))
    return torch.stack(projections)


def attention_scores(
    z: Float[torch.Tensor, "q row s k"],
    present: Bool[torch.Tensor, "q row s"],
    q: Questions,
    *,
    steps: int = 120,
    rates: Sequence[float] = RATES,
    decay: float = 0.02,
    seed: int = 0,
) -> Float[torch.Tensor, "rate q row"]:
    """The scores of all rows by a query and a value direction, trained by Adam for every rate on
    the training rows.

    `z` are tokens in few directions, such as `components` gives. Both answers weigh alike. All
    rates are trained at once.

    Formula: Σ_s softmax_s(u · z_s) (w · z_s) + b over the tokens that are there
    Source: Kantamneni et al. 2025, Are Sparse Autoencoders Useful?, section on multi-token probes
    """
    rows, mask = q.of(z, q.train), q.of(present, q.train)
    target = _select(q.told, q.train).float()
    weight = (
        torch.where(
            target > 0, 0.5 / target.mean(1, keepdim=True), 0.5 / (1 - target).mean(1, keepdim=True)
        )
        / target.shape[1]
    )
    start = (
        torch.from_numpy(rng.normal(np.array([seed]), "attention-probe", 0, (2, z.shape[-1]))[0])
        * 0.1
    )
    both = start.expand(
        len(rates), len(z), *start.shape
    ).contiguous()  # [rate, q, 2, k]: where to look, and what is read there
    state = {"both": both, "bias": torch.zeros(len(rates), len(z))}
    adam = Adam(state | adam_state(state), tuple(state), np.array(rates))
    for step in range(steps):
        look, value, pooled = _pooled(rows, mask, both)
        off = weight * (
            torch.sigmoid(pooled + state["bias"][..., None]) - target
        )  # [rate, q, n]: slope of the loss by the score
        slopes = torch.stack(
            [look * (value - pooled[..., None]) * off[..., None], look * off[..., None]], 2
        )
        flat = rows.flatten(1, 2)
        by_both = slopes.flatten(3) @ flat[None] + 2 * decay * both
        adam.step({"both": by_both, "bias": off.sum(-1)}, step)
    return (_pooled(z, present, both)[2] + state["bias"][..., None]).double()


def _pooled(
    z: Float[torch.Tensor, "q row s k"],
    present: Bool[torch.Tensor, "q row s"],
    both: Float[torch.Tensor, "rate q 2 k"],
) -> tuple[
    Float[torch.Tensor, "rate q row s"],
    Float[torch.Tensor, "rate q row s"],
    Float[torch.Tensor, "rate q row"],
]:
    """(how much is looked at each token, what is read there, their sum over a row's tokens)."""
    read = (both @ z.flatten(1, 2).mT[None]).unflatten(-1, z.shape[1:3])
    look = read[:, :, 0].masked_fill(~present, -torch.inf).softmax(-1)
    value = read[:, :, 1]
    return look, value, (look * value).sum(-1)
