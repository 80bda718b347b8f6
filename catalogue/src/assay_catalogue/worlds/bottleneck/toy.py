"""Toy models with a run axis: the bottleneck autoencoder of toy models of superposition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core.bench import Bench
from assay.core.descent import descent
from assay.core.fit import Trained, fit
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.core.spec import PerRun, Spec
from assay.train import rng


def bottleneck(runs: Runs, features: int, width: int) -> dict[str, torch.Tensor]:
    """Starting parameters of x → ReLU(Wᵀ(W x) + b) for every run: W [run f d] Xavier-normal, b [run
    f] zero.

    Source: Toy Models of Superposition, "Experiment setup".
    """
    scale = (2.0 / (features + width)) ** 0.5
    W = torch.from_numpy(rng.normal(runs.seeds, "toy.W", 0, (features, width)) * np.float32(scale))
    return {"W": W, "b": torch.zeros(len(runs), features)}


def reconstruct(
    params: Mapping[str, torch.Tensor],
    x: Float[torch.Tensor, "b f"] | Float[torch.Tensor, "run b f"],
    relu: bool = True,
) -> Float[torch.Tensor, "run b f"]:
    """The model's output x' = Wᵀ(W x) + b, through a ReLU unless `relu` is False; x shared by all
    runs or each run's own."""
    W = params["W"]
    bias = params["b"].unsqueeze(1)
    runs, f, d = W.shape
    if f <= 4 * d:  # through WᵀW: a few more multiplications, half the operations to differentiate
        out = torch.baddbmm(
            bias, x if x.ndim == 3 else x.expand(runs, *x.shape), torch.bmm(W, W.transpose(1, 2))
        )
    else:
        hidden = torch.einsum("bf,rfd->rbd", x, W) if x.ndim == 2 else torch.bmm(x, W)
        out = torch.baddbmm(bias, hidden, W.transpose(1, 2))
    return out.relu_() if relu else out


def mean_square(
    a: Float[torch.Tensor, "run b f"], b: Float[torch.Tensor, "run b f"]
) -> Float[torch.Tensor, " run"]:
    """Mean squared difference of each run, over its batch and features."""
    mean: Float[torch.Tensor, " run"] = _MeanSquare.apply(a, b)
    return mean


class _MeanSquare(torch.autograd.Function):
    """The mean squared difference, with a gradient in one pass over the differences where autograd
    makes three; bit for bit what it makes."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        off = a - b
        ctx.save_for_backward(off)
        flat = off.flatten(1)
        return torch.linalg.vecdot(flat, flat) / flat.shape[1]

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        (off,) = ctx.saved_tensors
        slope = off * (2 * (grad / off[0].numel())).view(-1, *[1] * (off.ndim - 1))
        return slope if ctx.needs_input_grad[0] else None, -slope if ctx.needs_input_grad[
            1
        ] else None


def weighted_square(
    a: Float[torch.Tensor, "run b f"],
    b: Float[torch.Tensor, "run b f"],
    importance: Float[torch.Tensor, "run f"],
) -> Float[torch.Tensor, " run"]:
    """Mean squared difference of each run, over its batch and features, each feature weighted by
    its importance.

    Formula: E_batch (1/n) Σ_i I_i (a_i − b_i)², linear in I. Differs: Elhage et al. sum over the n
    features; the optimum is the same, the number n times ours.
    """
    mean: Float[torch.Tensor, " run"] = _WeightedSquare.apply(a, b, importance.unsqueeze(1))
    return mean


class _WeightedSquare(torch.autograd.Function):
    """The weighted mean squared difference; bit for bit what autograd makes, without a copy of the
    weights for every input."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        off = a - b
        weighted = off * weight
        ctx.save_for_backward(off, weighted, weight)
        return torch.linalg.vecdot(off.flatten(1), weighted.flatten(1)) / off[0].numel()

    @staticmethod
    def backward(
        ctx: Any, grad: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        off, weighted, weight = ctx.saved_tensors
        factor = (grad / off[0].numel()).view(-1, 1, 1)
        # Twice the same but for rounding: both halves of the product rule, as autograd adds them.
        slope = (weighted * factor).add_((off * factor).mul_(weight))
        by_weight = (
            (off.square() * factor).sum(1, keepdim=True) if ctx.needs_input_grad[2] else None
        )
        return (
            slope if ctx.needs_input_grad[0] else None,
            -slope if ctx.needs_input_grad[1] else None,
            by_weight,
        )


def importances(
    seeds: Int[np.ndarray, " run"],
    features: int,
    ratio: float | Float[np.ndarray, " run"],
    permuted: bool = False,
) -> Float[torch.Tensor, "run f"]:
    """Importance of every feature in each run: ratio^i for feature i, or ratio^rank in an order
    that each seed draws.

    A ratio of 1 makes all features equal; one number for all runs or one a run.
    """
    rank = (
        rng.permutation(seeds, "toy.importance", 0, features)
        if permuted
        else np.arange(features)[None]
    )
    ratios = np.broadcast_to(np.asarray(ratio, dtype=np.float64), (len(seeds),))
    return torch.from_numpy((ratios[:, None] ** rank).astype(np.float32))


# --- one model for each density -------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Model(Spec):
    """One of a run's models: all densities of a run start alike and see inputs of one stream."""

    density: PerRun[float]
    """Probability that a feature is active in one input."""


def models(seeds: Int[np.ndarray, " run"], densities: Sequence[float]) -> Runs[Model]:
    """The models of runs with these seeds, one for each density, run by run: in the order in which
    a source of inputs gives batches."""
    return Runs([Model(seed=seed, density=p) for seed in seeds.tolist() for p in densities])


def density_losses(
    params: Mapping[str, torch.Tensor],
    x: Float[torch.Tensor, "model b f"],
    importance: Float[torch.Tensor, "run f"],
    relu: bool = True,
) -> Float[torch.Tensor, "run density"]:
    """Weighted squared error of every model, W [run density f d] and b [run density f], on inputs
    of its own."""
    shape = params["b"].shape[:2]
    flat = {name: t.flatten(0, 1) for name, t in params.items()}
    weight = importance.repeat_interleave(shape[1], 0)
    return weighted_square(reconstruct(flat, x, relu), x, weight).unflatten(0, shape)


def train_densities(
    runs: Runs,
    width: int,
    importance: Float[torch.Tensor, "run f"],
    densities: Sequence[float],
    batches: Callable[[int], Float[torch.Tensor, "model b f"]],
    *,
    lr: float,
    steps: int,
    relu: bool = True,
    bench: Bench,
) -> Trained:
    """W [run density f d] and b [run density f] of one model for each density, all of a run from
    one start, by Adam.

    A run's loss is the sum over its densities; each has its own parameters and so its own gradient.
    """
    start = bottleneck(runs, importance.shape[1], width)
    params = {
        name: t.unsqueeze(1).repeat_interleave(len(densities), 1) for name, t in start.items()
    }
    weight = importance.to(bench.device)

    def loss(
        p: Mapping[str, torch.Tensor], x: Float[torch.Tensor, "model b f"]
    ) -> Float[torch.Tensor, " run"]:
        return density_losses(p, x, weight, relu).sum(1)

    return fit(
        [descent(runs, params, loss, lr=np.full(len(runs), lr))], batches, steps=steps, bench=bench
    )[0]
