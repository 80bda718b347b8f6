"""A probe that chooses where to look: rows of tokens are pooled by a learned query before one linear map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from assay.core import rng
from assay.features.kernel_probe import Questions, _at

RATES = (0.02, 0.1)


def attention_scores(
    x: Float[Tensor, "q row s d"], there: Bool[Tensor, "q row s"], q: Questions, *, rank: int = 24, steps: int = 120,
    rates: Sequence[float] = RATES, decay: float = 0.02, seed: int = 0,
) -> Float[Tensor, "s q row"]:  # fmt: skip
    """The scores of all rows by a query and a value direction, trained by Adam for every rate on the training rows.

    Tokens are read in the first `rank` principal components of the training rows' tokens, each with unit variance.

    Formula: Σ_s softmax_s(u · z_s + c) (w · z_s) + b over the tokens that are there
    Source: Kantamneni et al. 2025, Are Sparse Autoencoders Useful?, section on multi-token probes
    """
    z = _components(x, there, q, rank)
    rows, mask = q.of(z, q.train), q.of(there, q.train)
    target = _at(q.told, q.train).float()
    weight = torch.where(target > 0, 0.5 / target.mean(1, keepdim=True), 0.5 / (1 - target).mean(1, keepdim=True))
    found = []
    for rate in rates:
        start = torch.from_numpy(rng.normal(np.array([seed]), "attention-probe", 0, (2, rank))[0]) * 0.1
        query, value = (one.expand(len(z), rank).clone().requires_grad_() for one in start)
        bias = torch.zeros(len(z), requires_grad=True)
        adam = torch.optim.Adam([query, value, bias], lr=rate)
        for _ in range(steps):
            score = _pooled(rows, mask, query, value) + bias[:, None]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(score, target, weight, reduction="none").mean(1).sum()
            loss = loss + decay * (query.square().sum() + value.square().sum())
            adam.zero_grad()
            loss.backward()
            adam.step()
        with torch.no_grad():
            found.append(_pooled(z, there, query, value) + bias[:, None])
    return torch.stack(found).double()


def _pooled(z: Tensor, there: Tensor, query: Tensor, value: Tensor) -> Tensor:
    look = torch.einsum("qrsk,qk->qrs", z, query).masked_fill(~there, -torch.inf).softmax(-1)
    return (look * torch.einsum("qrsk,qk->qrs", z, value)).sum(-1)


def _components(x: Tensor, there: Tensor, q: Questions, rank: int) -> Float[Tensor, "q row s k"]:
    """All tokens in the leading principal components of the training rows' tokens, by subspace iteration from a fixed start."""
    found = []
    for i in range(len(x)):
        tokens = x[i, q.train[i]][there[i, q.train[i]]]
        centre = tokens.mean(0)
        rows = tokens - centre
        axes = torch.from_numpy(rng.normal(np.zeros(1, int), "attention-probe.start", 0, (x.shape[-1], rank))[0])
        for _ in range(4):
            axes = torch.linalg.qr(rows.mT @ (rows @ axes))[0]
        z = (x[i] - centre) @ axes
        spread = (rows @ axes).std(0, correction=0)
        found.append(z / spread.clamp_min(1e-6 * float(spread.max()) + 1e-9))
    return torch.stack(found)
