"""Gradients written by hand for penalties beyond a plain L1: JumpReLU's L0, features weighed by
their rows, L_p, effects in a metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.heavy import torch
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.selection import TopK
from assay.dictionaries.training.anneal import PAnneal
from assay.dictionaries.training.effects import EffectPenalty
from assay.dictionaries.training.kernels.parts import (
    TINY,
    curves,
    error_of,
    gradients,
    operands,
    output_gradient,
    where_positive,
)
from assay.dictionaries.training.kernels.reference import NOTHING, Note, Step
from assay.dictionaries.training.losses import L1Weighted, Loss, Params


@torch.no_grad()
def jump(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`losses.jumprelu` with JumpReLU, and its gradients, those of the thresholds by its
    estimate."""
    assert isinstance(nonlinearity, JumpReLU)
    centred, encoder, decoder = operands(params, x, dtype)
    pre = torch.baddbmm(params["b_enc"][:, None].to(dtype), centred, encoder)
    width, threshold = nonlinearity.bandwidth, params["threshold"][:, None]
    features = pre * (pre > threshold)
    error = error_of(params, x, features @ decoder)
    grad = output_gradient(error, dtype)
    felt = grad @ decoder.mT  # by the features, whether on or off
    # K(u) of `JumpReLU`, the rectangle kernel: with ε the bandwidth, ∂f/∂θ = −θ/ε K and ∂1[π >
    # θ]/∂θ = −K/ε.
    near = ((pre - threshold).abs() <= width / 2).to(dtype)
    # No penalty here: a step has no slope in π, so λ moves the thresholds and nothing else.
    # Thresholds are at least 0, hence f > 0 is the same as π > θ.
    pull = where_positive(felt, features, 0)
    grads = gradients(params, centred, features, error, grad, pull)
    count = near.sum(1).float()
    # Σ over rows of (∂L/∂f · ∂f/∂θ + λ/b · ∂1[π > θ]/∂θ)
    grads["threshold"] = (
        -(
            params["threshold"] * (felt * near).sum(1).float()
            + penalty[:, None] / x.shape[-2] * count
        )
        / width
    )
    series = curves(error, features, note)
    series["loss"] = series["mse"] + penalty * series["l0"]
    return series, grads


@torch.no_grad()
def weighted(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`losses.L1Weighted` with ReLU, and its gradients."""
    assert isinstance(loss, L1Weighted)
    centred, encoder, decoder = operands(params, x, dtype)
    features = torch.baddbmm(params["b_enc"][:, None].to(dtype), centred, encoder).relu_()
    error = error_of(params, x, features @ decoder)
    grad = output_gradient(error, dtype)
    # The penalty λ/(b √d) Σ_i f_i Σ_l ‖W_i^l‖ moves features by their row's length, and each part
    # of a row along itself: ∂‖w‖/∂w = w/‖w‖.
    rows = params["W_dec"].split(list(loss.parts) or x.shape[-1], -1)
    lengths = [torch.linalg.vector_norm(part, dim=-1, keepdim=True) for part in rows]
    whole = torch.stack(lengths).sum(0)[..., 0]
    share = (penalty / (x.shape[-2] * x.shape[-1] ** 0.5))[:, None]
    pull = where_positive((grad @ decoder.mT).add_((share * whole)[:, None].to(dtype)), features, 0)
    grads = gradients(params, centred, features, error, grad, pull)
    total = features.sum(1).float()
    units = torch.cat(
        [part / length.clamp_min(TINY) for part, length in zip(rows, lengths, strict=True)], -1
    )
    grads["W_dec"] = grads["W_dec"].float() + (share * total)[..., None] * units
    series = curves(error, features, note)
    series["loss"] = series["mse"] + share[:, 0] * (total * whole).sum(-1)
    return series, grads


@torch.no_grad()
def annealed(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`losses.PAnneal` with ReLU, and its gradients."""
    assert isinstance(loss, PAnneal)
    p = loss.p(more.get("progress", 0.0))
    centred, encoder, decoder = operands(params, x, dtype)
    features = torch.baddbmm(params["b_enc"][:, None].to(dtype), centred, encoder).relu_()
    error = error_of(params, x, features @ decoder)
    grad = output_gradient(error, dtype)
    # λ/(b √d) Σ f^p has the slope p f^(p−1) λ/(b √d).
    share = penalty / (x.shape[-2] * x.shape[-1] ** 0.5)
    steep = features ** (
        p - 1
    )  # infinite where a feature is off, which is where the gradient is not
    # A selection, not a product with 0 or 1: ∞ · 0 would be NaN.
    pull = where_positive(
        (grad @ decoder.mT).addcmul_(steep, (p * share)[:, None, None].to(dtype)), features, 0
    )
    series = curves(error, features, note)
    # f^p = f · f^(p−1) saves a second power; ∞ · 0 = NaN where a feature is off, and the selection
    # drops it.
    sizes = where_positive(steep.mul_(features), features, 0)
    series["loss"] = series["mse"] + share * sizes.sum(-1).float().sum(-1)
    return series, gradients(params, centred, features, error, grad, pull)


@torch.no_grad()
def charged(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`EffectPenalty` with TopK by dense products, and its gradients."""
    assert isinstance(loss, EffectPenalty) and isinstance(nonlinearity, TopK)
    centred, encoder, decoder = operands(params, x, dtype)
    pre = torch.baddbmm(params["b_enc"][:, None].to(dtype), centred, encoder)
    values, index = pre.topk(nonlinearity.k, dim=-1, sorted=False)
    features = pre.zero_().scatter_(-1, index, values.relu_())
    error = error_of(params, x, features @ decoder)
    grad = output_gradient(error, dtype)
    images = loss.images(params["W_dec"])  # what each row is in the metric of its block
    # λ/b Σ f² wᵀMw: its slope in f is 2λ/b f wᵀMw, in w it is 2λ/b f² Mw, M being symmetric.
    price, share = (images * params["W_dec"]).sum(-1), 2 * penalty / x.shape[-2]
    felt = torch.baddbmm(features * (share[:, None] * price)[:, None].to(dtype), grad, decoder.mT)
    grads = gradients(params, centred, features, error, grad, where_positive(felt, features, 0))
    squares = features.square().sum(1).float()
    grads["W_dec"] = grads["W_dec"].float() + (share[:, None] * squares)[..., None] * images
    series = curves(error, features, note)
    series["loss"] = series["mse"] + share / 2 * (squares * price).sum(-1)
    return series, grads
