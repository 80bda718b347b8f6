"""Any loss and its gradients by plain autograd: the truth for hand-written gradients, and what a new loss uses at once.

Every kernel has the form `kernel(loss, params, x, nonlinearity, penalty, dtype) -> (series, gradients)`. In training both big
matrices are stored row per latent, so `params["W_enc"]` is [run, f, d] here; gradients come in the same shapes, those of
matrices perhaps still in the precision of the products. `series` holds "loss" [run], and what else is worth a curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from assay.dictionaries.losses import Loss, Params
from assay.dictionaries.nonlinearity import Nonlinearity

Step = tuple[dict[str, Float[Tensor, "run"]], dict[str, Tensor]]
Kernel = Callable[[Loss, Params, Tensor, Nonlinearity, Tensor, torch.dtype], Step]


def autograd(loss: Loss, params: Params, x: Tensor, nonlinearity: Nonlinearity, penalty: Tensor, dtype: torch.dtype) -> Step:
    """The loss [run] and its gradients, by torch's autograd; products stay in the parameters' precision, whatever `dtype`."""
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        losses = loss(standard(leaves), x, nonlinearity, penalty)
        # summed, never averaged over runs, so that each run's gradient is its own
        grads = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
    zeros = [torch.zeros_like(value) if g is None else g for g, value in zip(grads, leaves.values(), strict=True)]
    return {"loss": losses.detach()}, dict(zip(leaves, zeros, strict=True))


def standard(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same parameters with W_enc as [run, d, f], a view: the shapes of losses and of Dictionary."""
    return {**params, "W_enc": params["W_enc"].mT}
