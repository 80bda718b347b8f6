"""The bottleneck autoencoder on one-hot inputs, with a run axis: its expected loss in closed form,
and the gradient of that.

An input is a·e_i, i uniform over the columns and a ~ U(0, 1). One output entry ReLU(g a + b) is
then linear in a on a stretch [lo, hi] of [0, 1] and zero elsewhere, so every expectation is a
polynomial in lo, hi, g and b: no sampling, no quadrature."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.train import rng

Matrix: TypeAlias = 'Float[torch.Tensor, "run f f"]'
Params: TypeAlias = "Mapping[str, torch.Tensor]"


def start(runs: Runs, columns: int, weights: float, biases: float = 0.0) -> dict[str, torch.Tensor]:
    """Starting parameters W [run f d=2] and b [run f] in float64, normal with these standard
    deviations about 0."""
    scales = {"W": (weights, (columns, 2)), "b": (biases, (columns,))}
    return {
        k: torch.from_numpy(rng.normal(runs.seeds, f"one-hot.{k}", 0, shape).astype(np.float64)) * s
        for k, (s, shape) in scales.items()
    }


def potential(params: Params, relu: bool = True) -> Float[torch.Tensor, " run"]:
    """Expected squared error E ‖x − x'‖² of each run, x' = ReLU(Wᵀ(W x) + b), summed over outputs;
    without ReLU if `relu` is False.

    Formula: (1/f) Σ_ij ∫₀¹ (a δ_ij − ReLU(a W_i·W_j + b_j))² da. Range: from 0. Better: lower.
    Source: Chen et al. 2023, Dynamical versus Bayesian Phase Transitions in a Toy Model of
    Superposition. Differs: Elhage et al. average over outputs, which divides it by f.
    """
    value: Float[torch.Tensor, " run"] = _Potential.apply(params["W"], params["b"], relu)
    return value


def slopes(
    params: Params, relu: bool = True
) -> tuple[Float[torch.Tensor, " run"], dict[str, torch.Tensor]]:
    """The potential of each run and its exact gradient by W and b."""
    W, b = params["W"], params["b"]
    f = W.shape[1]
    G, bias = W @ W.transpose(1, 2), b[:, None]  # [run, input, output]
    p0, p1, p2 = (
        _moments(G, bias)
        if relu
        else (torch.ones_like(G), torch.full_like(G, 1 / 2), torch.full_like(G, 1 / 3))
    )
    m0, m1 = G * p1 + bias * p0, G * p2 + bias * p1  # ∫ x'_j and ∫ a x'_j
    self_moment = torch.diagonal(m1, dim1=1, dim2=2).sum(1)
    # With y = g a + b where that is above 0, ∫ y² = g m1 + b m0, and ∫ (a δ_ij − y)² = δ_ij/3 − 2
    # δ_ij m1 + ∫ y²; the thirds of f inputs, over f, are the 1/3.
    value = (
        1 / 3
        + (
            torch.linalg.vecdot(G.flatten(1), m1.flatten(1))
            + (b * m0.sum(1)).sum(1)
            - 2 * self_moment
        )
        / f
    )
    # Now the slopes, in place: ∂/∂g_ij = 2 (m1 − δ_ij p2)/f and ∂/∂b_j = 2 Σ_i (m0 − δ_ij p1)/f.
    # The ends of the stretch move with g and b, too, but y is 0 there.
    torch.diagonal(m1, dim1=1, dim2=2).sub_(torch.diagonal(p2, dim1=1, dim2=2))
    torch.diagonal(m0, dim1=1, dim2=2).sub_(torch.diagonal(p1, dim1=1, dim2=2))
    return value, {"W": (m1 + m1.transpose(1, 2)) @ W * (2 / f), "b": m0.sum(1) * (2 / f)}


def curvatures(
    params: Params, relu: bool = True, step: float = 1e-5
) -> Float[torch.Tensor, "run k"]:
    """Eigenvalues of the potential's Hessian by all 3f parameters, ascending. Formula: central
    differences of the exact gradient.

    Where the potential is not twice differentiable (an entry with g = b = 0, as in a 4-gon) they
    mean nothing."""
    W, b = params["W"].double(), params["b"].double()
    runs, f, d = W.shape
    k = f * (d + 1)
    flat = torch.cat([W.flatten(1), b], 1)
    moves = torch.eye(k, dtype=torch.float64, device=W.device) * step
    points = (flat[:, None, None] + torch.stack([moves, -moves])).flatten(0, 2)  # [run · 2 · k, k]
    _, slope = slopes({"W": points[:, : f * d].unflatten(1, (f, d)), "b": points[:, f * d :]}, relu)
    plus, minus = torch.cat([slope["W"].flatten(1), slope["b"]], 1).view(runs, 2, k, k).unbind(1)
    hessian = (plus - minus) / (2 * step)
    return torch.linalg.eigvalsh((hessian + hessian.transpose(1, 2)) / 2)


def _moments(G: Matrix, bias: Float[torch.Tensor, "run 1 f"]) -> tuple[Matrix, Matrix, Matrix]:
    """∫ 1, ∫ a and ∫ a² over the part of [0, 1] where g a + b > 0."""
    # g = 0: the tiny number sends the root to an end of [0, 1], by the sign of b, and the output is
    # on everywhere or nowhere.
    root = (-bias / torch.where(G == 0, 1e-300, G)).clamp(0, 1)
    rising = G >= 0
    low, high = torch.where(rising, root, 0.0), torch.where(rising, 1.0, root)
    low2, high2 = low * low, high * high
    return high - low, (high2 - low2) / 2, (high2 * high - low2 * low) / 3


class _Potential(torch.autograd.Function):
    """The potential with the gradient that was worked out by hand beside it."""

    @staticmethod
    def forward(ctx: Any, W: torch.Tensor, b: torch.Tensor, relu: bool) -> torch.Tensor:
        value, slope = slopes({"W": W, "b": b}, relu)
        ctx.save_for_backward(slope["W"], slope["b"])
        return value

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        W, b = ctx.saved_tensors
        return W * grad[:, None, None], b * grad[:, None], None


# --- in place of the expectation: data, and batches of it -----------------------------------------


def batches(runs: Runs, columns: int, data: int, size: int):
    """step → which column [run b] and how strong [run b]: `size` inputs drawn anew from each run's
    own `data` ones."""
    which = rng.integers(runs.seeds, "one-hot.which", 0, (data,), columns)
    amount = rng.uniform(runs.seeds, "one-hot.amount", 0, (data,)).astype(np.float64)

    many = max(1, 4096 // size)  # steps whose batches are drawn at once

    @lru_cache(2)
    def picked(block: int) -> np.ndarray:
        return rng.integers(runs.seeds, "one-hot.batches", block, (many, size), data)

    def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        indices = picked(step // many)[:, step % many]
        return tuple(torch.from_numpy(np.take_along_axis(x, indices, 1)) for x in (which, amount))  # type: ignore[return-value]

    return batch


def batch_loss(
    params: Params, batch: tuple[torch.Tensor, torch.Tensor], relu: bool = True
) -> Float[torch.Tensor, " run"]:
    """Mean of ‖x − x'‖² over a batch of inputs (which column, how strong), for each run; its
    expectation is the potential."""
    W, b = params["W"], params["b"]
    which, amount = batch
    picked = W.gather(1, which[..., None].expand(-1, -1, W.shape[-1]))
    out = torch.baddbmm(b[:, None], picked * amount[..., None], W.transpose(1, 2))
    out = out.relu() if relu else out
    # x has one entry that is not 0, so that x' − x needs no dense x.
    off = out.scatter_add(2, which[..., None], -amount[..., None])
    return off.square().sum(-1).mean(-1)
