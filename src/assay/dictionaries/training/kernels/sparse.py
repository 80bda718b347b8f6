"""The sparse TopK step: its only dense work is the encoder's product; everything after the top-k touches k rows per input.

embedding_bag is the sparse decoder, and its backward the sparse gradient of both matrices: a row of W_enc gets Σ dv·x over
the inputs that chose it, a row of W_dec gets Σ v·dx̂. That is why training stores both matrices row per latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.selection import TopK
from assay.dictionaries.training.kernels.reference import NOTHING, Note, Step
from assay.dictionaries.training.losses import Loss, Params


def pays(k: int, width: int) -> bool:
    """Whether the sparse step is cheaper than the dense one; a matter of shape alone, so results never depend on the machine."""
    return width >= 32 * k


@torch.no_grad()
def topk_sparse(
    loss: Loss, params: Params, x: Tensor, nonlinearity: Nonlinearity, penalty: Tensor, dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING, note: Note | None = None,
) -> Step:  # fmt: skip
    """`losses.mse` with TopK, and its gradients; one run after the other, as each is far larger than a cache.

    Its features are never written out, so there is nothing to note: training takes the dense step where something is.
    """
    assert isinstance(nonlinearity, TopK) and note is None
    y = more.get("y")

    def of(rows: Any, r: int) -> Any:
        return rows if rows is None or rows.ndim == 2 else rows[r]

    steps = [
        _one({name: value[r] for name, value in params.items()}, of(x, r), of(y, r), nonlinearity.k, dtype)
        for r in range(len(params["W_enc"]))
    ]
    series, grads = ({name: _stack([s[i][name] for s in steps]) for name in steps[0][i]} for i in (0, 1))
    return series, grads


def _one(params: Params, x: Tensor, y: Tensor | None, k: int, dtype: torch.dtype) -> Step:
    """The step of a single run: parameters without their run axis, x [b, d], and its target where that is elsewhere."""
    elsewhere = y is not None
    centred = x - params["b_pre" if elsewhere else "b_dec"]
    target = y if y is not None else x
    b, d = target.shape
    pre = torch.addmm(params["b_enc"].to(dtype), centred.to(dtype), params["W_enc"].to(dtype).T)
    values, index = pre.topk(k, dim=1, sorted=False)
    values = values.float().relu_()
    with torch.enable_grad():
        decoder, weights = params["W_dec"].detach().requires_grad_(), values.requires_grad_()
        decoded = embedding_bag(index, decoder, per_sample_weights=weights, mode="sum")
    error = decoded.detach() + params["b_dec"] - target
    grad = error * (2 / (b * d))
    W_dec, pull = torch.autograd.grad(decoded, (decoder, weights), grad)
    pull = pull * (weights.detach() > 0)
    with torch.enable_grad():
        encoder = params["W_enc"].detach().requires_grad_()
        (W_enc,) = torch.autograd.grad(embedding_bag(index, encoder, per_sample_weights=pull, mode="sum"), encoder, centred)
    b_enc = torch.zeros_like(params["b_enc"]).index_add_(0, index.flatten(), pull.flatten())
    mse = error.square().mean()
    series = {"loss": mse, "mse": mse, "l0": (weights.detach() > 0).sum() / b}
    b_dec = grad.sum(0) if elsewhere else grad.sum(0) - b_enc @ params["W_enc"]  # the encoder takes its b_dec away from x
    return series, {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}


def _stack(values: list[Tensor]) -> Tensor:
    return values[0][None] if len(values) == 1 else torch.stack(values)  # no copy of a single run's matrices
