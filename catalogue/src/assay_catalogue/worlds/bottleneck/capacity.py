"""Capacity: how much of a dimension of its own a feature has, by two definitions that are one, and
what a little more of it would save: constrained optima of a loss, many at once.

Rows of W are features here, W [.., f, d], as everywhere in Assay; papers write them as columns.

What more capacity saves no backprop through W can say: at an optimum dL/dW = 0, so the loss has no
slope along any direction of W, whatever it does to capacities. What capacity is worth shows only
where it is short: in the multipliers of a minimum at *given* capacities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
from jaxtyping import Float

from assay.core.arrays import Array, as_tensor
from assay.core.descent import descent
from assay.core.errors import DataError
from assay.core.fit import Group, State, warm_up_decay
from assay.core.heavy import torch
from assay.core.runs import Runs


def capacity(W: Float[Array, "*run f d"]) -> Float[torch.Tensor, "*run f"]:
    """Capacity of each feature, a share of a dimension; 0 for a feature whose row is 0.

    Formula: C_i = (w_i·w_i)² / Σ_j (w_i·w_j)², j over all features and i itself.
    Range: 0 ≤ C_i ≤ leverage_i ≤ 1 and Σ C_i ≤ rank W. It stays when W is scaled or rotated, not
    when one row is scaled.
    Raises: DataError when W has no axes [.., f, d].
    Source: Scherlis et al. 2022, section 2.
    """
    W = _matrix(W)
    gram = W @ W.transpose(-1, -2)
    self_overlap, all_of_it = gram.diagonal(dim1=-2, dim2=-1).square(), gram.square().sum(-1)
    return self_overlap / torch.where(all_of_it > 0, all_of_it, 1)


def dimensionality(W: Float[Array, "*run f d"]) -> Float[torch.Tensor, "*run f"]:
    """Feature dimensionality of each feature, a share of a dimension: another way to write its
    capacity.

    Formula: D_i = ‖w_i‖² / Σ_j (ŵ_i·w_j)² with ŵ_i = w_i/‖w_i‖; times ‖w_i‖² above and below it is
    C_i, for any W.
    Raises: DataError when W has no axes [.., f, d].
    Source: Elhage et al. 2022, Toy Models of Superposition, "The geometry of superposition".
    """
    W = _matrix(W)
    norm = torch.linalg.vector_norm(W, dim=-1)
    unit = W / torch.where(norm > 0, norm, 1).unsqueeze(-1)
    shared = (unit @ W.transpose(-1, -2)).square().sum(-1)
    return norm.square() / torch.where(shared > 0, shared, 1)


def _matrix(W: Array) -> torch.Tensor:
    """Weights as a tensor with at least one feature and one dimension."""
    W = as_tensor(W)
    if W.ndim < 2 or 0 in W.shape:
        raise DataError(
            "weights must be [.., feature, width], with at least one of each, got shape "
            f"{list(W.shape)}"
        )
    return W


STIFFNESS = 1000.0
"""Penalty of a missed capacity over the unit of loss: well above the curvature of the least loss
along capacities, about 100."""


def at_capacities(
    runs: Runs,
    params: State,
    loss: Callable[[State], Float[torch.Tensor, " run"]],
    target_capacities: Float[torch.Tensor, "run f"],
    unit: Float[torch.Tensor, " run"],
    *,
    inner: int = 400,
    lr: float = 1e-2,
) -> Group:
    """A Group whose runs end at a minimum of `loss` among weights W [run f d] with C_i(W) =
    `target_capacities`, near their start.

    Its `benefit` [run f] ends as M_i = −dL/dC_i, the loss that a little more capacity for feature i
    would save, the other capacities held; in multiples of `unit`, as is all else. Train a few times
    `inner` steps. A capacity that is NaN is left free.
    Formula: augmented Lagrangian L + Σ λ_i (C_i − c_i) + ρ/2 Σ (C_i − c_i)² by Adam, λ_i += ρ (C_i
    − c_i) after every round; at the end λ = M. `missed` [run f] is C_i − c_i.
    Raises: DataError when a wanted capacity is no share of a dimension, or they sum to more than
    there are dimensions."""
    held = torch.isfinite(target_capacities)
    held_targets = torch.where(held, target_capacities, 0.0)
    if not bool(((held_targets >= 0) & (held_targets <= 1)).all()):
        worst = held_targets.flatten()[(held_targets - 0.5).abs().argmax()]
        raise DataError(f"a capacity is a share of a dimension, from 0 to 1, got {float(worst):g}")
    width = min(params["W"].shape[-2:])
    if float(held_targets.sum(-1).max()) > width + 1e-9:
        raise DataError(
            f"capacities sum to at most the rank, {width}, got "
            f"{float(held_targets.sum(-1).max()):g}"
        )

    def missed(W: torch.Tensor) -> Float[torch.Tensor, "run f"]:
        target = group.state["wanted"]
        return torch.where(torch.isfinite(target), capacity(W) - target, 0.0)

    def lagrangian(p: State, batch: object) -> Float[torch.Tensor, " run"]:
        off = missed(p["W"])
        terms = group.state["benefit"] * off + STIFFNESS / 2 * off.square()
        return loss(p) / group.state["unit"] + terms.sum(-1)

    rate, fall = np.full(len(runs), lr), warm_up_decay(inner, 0, 1.0, floor=1e-3)
    # Each round lets the rate fall anew: multipliers are moved only once the weights have settled.
    group = descent(runs, params, lagrangian, lr=rate, schedule=lambda step: fall(step % inner))
    descend = group.step_fn
    group.state |= {
        "benefit": torch.zeros_like(held_targets),
        "missed": torch.zeros_like(held_targets),
        "wanted": target_capacities,
        "unit": unit,
    }

    def step_fn(state: State, batch: object, step: int) -> Float[torch.Tensor, " run"]:
        losses = cast(torch.Tensor, descend(state, batch, step))
        if (step + 1) % inner == 0:
            with torch.no_grad():
                state["missed"].copy_(missed(state["W"]))
                state["benefit"] += STIFFNESS * state["missed"]
        return losses

    group.step_fn = step_fn
    return group
