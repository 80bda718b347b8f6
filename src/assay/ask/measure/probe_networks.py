"""Probe networks: probes that are trained by gradient descent, for every point of a sweep and every
weight decay at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay.train import rng

DECAYS = (1e-3, 1e-2, 1e-1)
"""Penalties, from which one is chosen: the factor of half the squared weights in the loss."""
STEPS = 150
"""Steps of Adam."""
ATTENTION_RATE, MLP_RATE = 0.05, 0.01
HIDDEN = 32
"""Hidden units of an MLP."""
COLUMNS = 128
"""Maximum principal components of the activations that an MLP reads."""


def attention(
    tokens: Float[torch.Tensor, "point row token d"],
    mask: Bool[torch.Tensor, "row token"],
    y: Float[torch.Tensor, "row y"],
    train: Int[np.ndarray, " n"],
    judged: Int[np.ndarray, " m"],
) -> Float[torch.Tensor, "setting point m y"]:
    """Log-probabilities by a softmax over a mean of tokens, whose weights are a softmax of what
    one direction has of each.

    Formula: log softmax(Wᵀ Σ_t a_t x_t + b), a = softmax(x q); Adam from W = q = 0"""
    n, d, c, settings = len(tokens), tokens.shape[-1], y.shape[1], len(DECAYS)
    weights = [
        torch.zeros(settings, n, *size, dtype=y.dtype, requires_grad=True)
        for size in ((d, 1), (d, c), (1, c))
    ]

    def log_probs(rows: np.ndarray) -> torch.Tensor:
        x, visible = tokens[:, rows], mask[rows]
        q, w, b = weights
        heed = x.flatten(1, 2) @ q[..., 0].permute(1, 2, 0)  # point, row · token, setting
        heed = heed.unflatten(1, x.shape[1:3]).masked_fill(~visible[..., None], -torch.inf)
        mean = heed.softmax(2).mT @ x  # point, row, setting, column
        return (mean.permute(2, 0, 1, 3) @ w + b).log_softmax(-1)

    def missed() -> torch.Tensor:
        return -(log_probs(train) * y[train]).sum() / len(train)

    _descend(weights, weights[:2], missed, ATTENTION_RATE)
    with torch.no_grad():
        return log_probs(judged)


def mlp(
    x: Float[torch.Tensor, "point row d"],
    widths: Sequence[int],
    y: Float[torch.Tensor, "row y"],
    train: Int[np.ndarray, " n"],
    judged: Int[np.ndarray, " m"],
    seed: int,
    *,
    odds: bool,
) -> Float[torch.Tensor, "setting point m y"]:
    """Log-probabilities, or without `odds` numbers, by an MLP with one hidden layer of ReLUs.

    Formula: f = W₂ᵀ relu(W₁ᵀ x + b₁) + b₂; log softmax(f) of labels, y's mean + its deviation · f
    of numbers; Adam from W₁ ~ N(0, 2 / d), W₂ ~ N(0, 1 / HIDDEN), b₁ = b₂ = 0
    """
    settings, d, c = len(DECAYS), x.shape[-1], y.shape[1]
    first, second = (
        torch.from_numpy(rng.normal(np.array([seed]), "ask.mlp", k, (size, HIDDEN))[0]).to(y)
        for k, size in enumerate((COLUMNS, c))
    )
    scale = (2 / y.new_tensor(widths)).sqrt()[:, None, None]
    starts = (
        first[:d] * scale,
        y.new_zeros(len(x), 1, HIDDEN),
        (second.mT / HIDDEN**0.5).expand(len(x), -1, -1),
        y.new_zeros(len(x), 1, c),
    )
    weights = [w.expand(settings, *w.shape).clone().requires_grad_() for w in starts]
    mean, spread = y[train].mean(0), y[train].std(0, correction=0).clamp_min(1e-12)

    def output(rows: np.ndarray) -> torch.Tensor:
        w1, b1, w2, b2 = weights
        out = torch.relu(x[:, rows] @ w1 + b1) @ w2 + b2
        return out.log_softmax(-1) if odds else out

    def missed() -> torch.Tensor:
        out = output(train)
        off = -(out * y[train]) if odds else (out - (y[train] - mean) / spread).square() / 2
        return off.sum() / len(train)

    _descend(weights, weights[::2], missed, MLP_RATE)
    with torch.no_grad():
        return output(judged) if odds else mean + spread * output(judged)


def _descend(
    weights: Sequence[torch.Tensor],
    penalised: Sequence[torch.Tensor],
    loss: Callable[[], torch.Tensor],
    rate: float,
) -> None:
    """Move weights, [setting, point, …], down a loss that is a sum over settings and points."""
    decay = weights[0].new_tensor(DECAYS)[:, None]
    with torch.enable_grad():
        adam = torch.optim.Adam([*weights], rate)
        for _ in range(STEPS):
            adam.zero_grad()
            penalty = sum((v.square().sum((2, 3)) * decay).sum() for v in penalised)
            (loss() + penalty / 2).backward()
            adam.step()
