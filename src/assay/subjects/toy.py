"""Toy models with a run axis: the bottleneck autoencoder of toy models of superposition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from assay.core import rng
from assay.core.runs import Runs


def bottleneck(runs: Runs, features: int, width: int) -> dict[str, Tensor]:
    """Starting parameters of x → ReLU(Wᵀ(W x) + b) for every run: W [run f d] Xavier-normal, b [run f] zero.

    Source: Toy Models of Superposition, "Experiment setup".
    """
    scale = (2.0 / (features + width)) ** 0.5
    W = torch.from_numpy(rng.normal(runs.seeds, "toy.W", 0, (features, width)) * np.float32(scale))
    return {"W": W, "b": torch.zeros(len(runs), features)}


def reconstruct(
    params: Mapping[str, Tensor], x: Float[Tensor, "b f"] | Float[Tensor, "run b f"], relu: bool = True
) -> Float[Tensor, "run b f"]:
    """The model's output x' = Wᵀ(W x) + b, through a ReLU unless `relu` is False; x shared by all runs or each run's own."""
    W = params["W"]
    bias = params["b"].unsqueeze(1)
    runs, f, d = W.shape
    if f <= 4 * d:  # through WᵀW: a few more multiplications, half the operations to differentiate
        out = torch.baddbmm(bias, x if x.ndim == 3 else x.expand(runs, *x.shape), torch.bmm(W, W.transpose(1, 2)))
    else:
        hidden = torch.einsum("bf,rfd->rbd", x, W) if x.ndim == 2 else torch.bmm(x, W)
        out = torch.baddbmm(bias, hidden, W.transpose(1, 2))
    return out.relu() if relu else out


def mean_square(a: Float[Tensor, "run b f"], b: Float[Tensor, "run b f"]) -> Float[Tensor, "run"]:
    """Mean squared difference of each run, over its batch and features."""
    mean: Float[Tensor, "run"] = _MeanSquare.apply(a, b)
    return mean


class _MeanSquare(torch.autograd.Function):
    """The same, with a gradient in one pass over the differences where autograd makes three; bit for bit what it makes."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        off = a - b
        ctx.save_for_backward(off)
        flat = off.flatten(1)
        return torch.linalg.vecdot(flat, flat) / flat.shape[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (off,) = ctx.saved_tensors
        slope = off * (2 * (grad / off[0].numel())).view(-1, *[1] * (off.ndim - 1))
        return slope if ctx.needs_input_grad[0] else None, -slope if ctx.needs_input_grad[1] else None


def weighted_square(
    a: Float[Tensor, "run b f"], b: Float[Tensor, "run b f"], importance: Float[Tensor, "run f"]
) -> Float[Tensor, "run"]:
    """Mean squared difference of each run, over its batch and features, each feature weighted by its importance.

    Formula: E_batch (1/n) Σ_i I_i (a_i − b_i)², linear in I. Differs: Elhage et al. sum over the n features; the optimum is
    the same, the number n times ours.
    """
    off = (a - b).flatten(1)
    weight = importance.unsqueeze(1).expand(a.shape).flatten(1)
    return torch.linalg.vecdot(off, off * weight) / off.shape[1]


def importances(
    seeds: Int[np.ndarray, "run"], features: int, ratio: float | Float[np.ndarray, "run"], permuted: bool = False
) -> Float[Tensor, "run f"]:
    """Importance of every feature in each run: ratio^i for feature i, or ratio^rank in an order that each seed draws.

    A ratio of 1 makes all features equal; one number for all runs or one a run.
    """
    rank = rng.permutation(seeds, "toy.importance", 0, features) if permuted else np.arange(features)[None]
    ratios = np.broadcast_to(np.asarray(ratio, dtype=np.float64), (len(seeds),))
    return torch.from_numpy((ratios[:, None] ** rank).astype(np.float32))
