"""Gradients written by hand for TopK and BatchTopK with AuxK, and for Matryoshka's nested
reconstructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float

from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.auxiliary import Matryoshka
from assay.dictionaries.training.kernels.parts import (
    curves,
    error_of,
    gradients,
    mean_square,
    operands,
    output_gradient,
    revival,
    transposed_product,
    where_positive,
)
from assay.dictionaries.training.kernels.reference import NOTHING, Note, Step
from assay.dictionaries.training.losses import Loss, Params


@torch.no_grad()
def chosen(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`losses.mse` or `losses.TopKAux` with TopK or BatchTopK, and its gradients."""
    centred, encoder, decoder = operands(params, x, dtype)
    pre = torch.baddbmm(params["b_enc"][:, None].to(dtype), centred, encoder)
    # b_enc is in the product already, so that the nonlinearity is given a bias of 0.
    features = nonlinearity(pre, torch.zeros_like(params["b_enc"], dtype=dtype), params)
    error = error_of(params, x, features @ decoder)
    grad = output_gradient(error, dtype)
    pull = where_positive(grad @ decoder.mT, features, 0)
    # AuxK takes the error as a constant: it moves dead latents, and adds nothing to `grad`.
    aux = _Aux(loss, error, pre, decoder, more)
    # After the mask, which would wipe it out: a dead latent is off in nearly every row of
    # `features`.
    aux.add_to(pull)
    grads = gradients(params, centred, features, error, grad, pull)
    aux.add_to_decoder(grads)
    series = curves(error, features, note)
    series["loss"] = series["mse"] + aux.loss
    return series, grads


@torch.no_grad()
def nested(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`losses.Matryoshka` with TopK or BatchTopK, and its gradients.

    A latent between two prefixes is part of every reconstruction from there on, so it feels the sum
    of their gradients; products run over one stretch of latents at a time, and all stretches
    together cost what one plain step costs."""
    assert isinstance(loss, Matryoshka)
    centred, encoder, decoder = operands(params, x, dtype)
    pre = torch.baddbmm(params["b_enc"][:, None].to(dtype), centred, encoder)
    features = nonlinearity(pre, torch.zeros_like(params["b_enc"], dtype=dtype), params)
    stretches = [slice(a, b) for a, b in zip((0, *loss.prefixes), loss.prefixes, strict=False)]
    # L = Σ_m ‖e_m‖²/(b d), and e_m = e_{m−1} + f_m W_m over the stretch m alone.
    errors, error = [], params["b_dec"][:, None] - x
    for stretch in stretches:
        error = error + features[..., stretch] @ decoder[:, stretch]
        errors.append(error)
    # The last prefix is the whole width, so that every column is written below.
    pull, W_dec = torch.empty_like(features), torch.empty_like(decoder)
    # ∂L/∂f_m = 2/(b d) · (Σ_{m' ≥ m} e_m') W_mᵀ: from the last stretch back the sum grows by one
    # error at a time.
    felt = torch.zeros_like(error)
    for stretch, its in zip(reversed(stretches), reversed(errors), strict=True):
        felt += its
        grad = output_gradient(felt, dtype)
        pull[..., stretch] = where_positive(
            grad @ decoder[:, stretch].mT, features[..., stretch], 0
        )
        W_dec[:, stretch] = transposed_product(features[..., stretch], grad)
    aux = _Aux(loss, error, pre, decoder, more)
    aux.add_to(pull)
    b_enc = pull.sum(1).float()
    grads = {
        "W_enc": transposed_product(pull, centred),
        "b_enc": b_enc,
        "W_dec": W_dec,
        # b_dec is part of every reconstruction, and by now `felt` is the sum of all errors.
        "b_dec": felt.sum(1) * (2 / (x.shape[-2] * x.shape[-1]))
        - (b_enc[:, None] @ params["W_enc"])[:, 0],
    }
    aux.add_to_decoder(grads)
    series = curves(error, features, note)
    series["loss"] = sum((mean_square(e) for e in errors), aux.loss)
    return series, grads


class _Aux:
    """α times AuxK of each run that has dead latents: its value and what it adds to the
    gradients."""

    def __init__(
        self,
        loss: Loss,
        error: Float[torch.Tensor, "run b d"],
        pre: torch.Tensor,
        decoder: torch.Tensor,
        more: Mapping[str, Any],
    ):
        idle = more.get("idle")
        # Run by run: each has dead latents of its own, in number too.
        revivals = [
            None if idle is None else revival(loss, error[r], pre[r], decoder[r], idle[r])
            for r in range(len(error))
        ]
        # A run without dead latents takes no part, whatever its neighbours have.
        self.found = {r: its for r, its in enumerate(revivals) if its is not None}
        self.loss = torch.zeros(len(error), dtype=error.dtype, device=error.device)
        for r, its in self.found.items():
            self.loss[r] = its.loss

    def add_to(self, pull: Float[torch.Tensor, "run b f"]) -> None:
        """Add the gradients of the projections, in place."""
        for r, its in self.found.items():
            pull[r].index_add_(-1, its.columns, its.pull)

    def add_to_decoder(self, grads: dict[str, torch.Tensor]) -> None:
        """Add the gradients of the decoder, in place."""
        for r, its in self.found.items():
            grads["W_dec"][r].index_add_(0, its.columns, its.decoder.to(grads["W_dec"].dtype))
