"""Gradients written by hand, about a quarter cheaper than autograd's: no gradient for x, and
Gated's two decodes are one product.

Here are the three that run most; BatchTopK, AuxK and Matryoshka are in `chosen.py`, JumpReLU and
other penalties in `penalised.py`. All of them have a step beside it that touches only what is on
(`sparse.py`). Products and what lies between them run in `dtype`; errors, losses and the gradients
that `in_chunks` gives are float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.heavy import torch
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.effects import EffectPenalty
from assay.dictionaries.training.kernels.chosen import chosen, nested
from assay.dictionaries.training.kernels.density import ByDensity
from assay.dictionaries.training.kernels.parts import (
    curves,
    error_of,
    gradients,
    mean_square,
    operands,
    output_gradient,
    plus_share,
    where_positive,
)
from assay.dictionaries.training.kernels.penalised import annealed, charged, jump, weighted
from assay.dictionaries.training.kernels.reference import NOTHING, Kernel, Note, Step, autograd
from assay.dictionaries.training.kernels.sparse import (
    Single,
    gated_sparse,
    jump_sparse,
    pays,
    relu_sparse,
    topk_sparse,
)
from assay.dictionaries.training.losses import Loss, Params

CACHED = 3 * 2**17
"""Features of one chunk of runs, rows × width × runs, that stay in a CPU's caches: 18 runs in one
piece are slower than in 18."""


def kernel_for(loss: Loss, nonlinearity: Nonlinearity, width: int) -> Kernel:
    """The fastest kernel for this loss and nonlinearity as far as shapes tell; plain autograd where
    none was written by hand."""
    sparse = sparse_for(loss, nonlinearity)
    if (
        isinstance(nonlinearity, TopK | BatchTopK)
        and sparse is not None
        and pays(nonlinearity.k, width)
    ):
        return sparse
    return dense_for(loss, nonlinearity)


def dense_for(loss: Loss, nonlinearity: Nonlinearity) -> Kernel:
    """Gradients by hand through dense products."""
    if loss is losses.l1 and isinstance(nonlinearity, ReLU):
        return relu
    if loss in (losses.gated, losses.gated_no_aux) and isinstance(nonlinearity, Gated):
        return gated
    if loss is losses.mse and isinstance(nonlinearity, TopK):
        return topk
    if (loss is losses.mse or isinstance(loss, losses.TopKAux)) and isinstance(
        nonlinearity, TopK | BatchTopK
    ):
        return chosen
    if isinstance(loss, losses.Matryoshka) and isinstance(nonlinearity, TopK | BatchTopK):
        return nested
    if loss is losses.jumprelu and isinstance(nonlinearity, JumpReLU):
        return jump
    if isinstance(nonlinearity, ReLU) and isinstance(loss, losses.PAnneal):
        return annealed
    if isinstance(nonlinearity, ReLU) and isinstance(loss, losses.L1Weighted):
        return weighted
    if isinstance(nonlinearity, TopK) and isinstance(loss, EffectPenalty):
        return charged
    return autograd


def sparse_for(loss: Loss, nonlinearity: Nonlinearity) -> Single | None:
    """Gradients by hand that touch only what is on; each has a dense kernel beside it."""
    # Looked up by the dense kernel, so that both are chosen by one and the same rule.
    return {
        relu: relu_sparse,
        annealed: relu_sparse,
        weighted: relu_sparse,
        gated: gated_sparse,
        jump: jump_sparse,
        topk: topk_sparse,
        chosen: topk_sparse,
        nested: topk_sparse,
    }.get(dense_for(loss, nonlinearity))


def in_chunks(
    kernel: Kernel,
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    room: dict[str, torch.Tensor],
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """What `kernel` gives, computed for a few runs at a time where that keeps a CPU's caches warm;
    gradients in float32.

    `more` and `note` are the kernel's; tensors in `more` are [run, …], but for a target y that the
    runs share. `room` holds the gradients of all runs from one call to the next: fresh memory of
    that size costs as much as a product."""
    runs, f, _ = params["W_enc"].shape
    run_by_run = isinstance(kernel, Single) or (
        isinstance(kernel, ByDensity) and kernel.apart(x, f)
    )
    size = (
        # An accelerator wants all runs in one launch; a CPU wants the features of a chunk to stay
        # in cache between the products that read them.
        runs if x.device.type != "cpu" else 1 if run_by_run else max(1, CACHED // (x.shape[-2] * f))
    )
    if size >= runs:
        series, grads = kernel(loss, params, x, nonlinearity, penalty, dtype, more, note)
        return series, {name: value.float() for name, value in grads.items()}
    chunk_series: list[dict[str, torch.Tensor]] = []
    # Runs of a chunk share a launch, never a sum, so that one that breaks leaves its neighbours
    # alone. Alone and in a group a run differs by rounding only: a batched product may add up in
    # another order.
    for a in range(0, runs, size):
        part = {name: value[a : a + size] for name, value in params.items()}
        chunk = slice(a, a + size)
        rest = {
            # A target [b, d] is shared by the runs; anything else has a run axis first.
            k: v[chunk] if isinstance(v, torch.Tensor) and not (k == "y" and v.ndim == 2) else v
            for k, v in more.items()
        }
        series, grads = kernel(
            loss,
            part,
            x if x.ndim == 2 else x[chunk],
            nonlinearity,
            penalty[chunk],
            dtype,
            rest,
            note,
        )
        chunk_series.append(series)
        for name, value in grads.items():
            if name not in room:
                # Like the parameters, so float32: the assignment below converts and copies at once.
                room[name] = torch.empty_like(params[name])
            room[name][a : a + size] = value
    return {
        name: torch.cat([series[name] for series in chunk_series]) for name in chunk_series[0]
    }, room


@torch.no_grad()
def relu(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`losses.l1` with ReLU, and its gradients."""
    centred, encoder, decoder = operands(params, x, dtype)
    # The bias is added within the product and ReLU writes over it: no second array of [run, b, f].
    features = torch.baddbmm(params["b_enc"][:, None].to(dtype), centred, encoder).relu_()
    error = error_of(params, x, features @ decoder)
    grad = output_gradient(error, dtype)
    # ∂L/∂π = (2/(b d) e W_decᵀ + λ/(b √d)) · 1[f > 0]. The penalty is added everywhere, then masked
    # along with the rest: cheaper than to add it where features are on.
    pull = where_positive(plus_share(grad @ decoder.mT, penalty, x), features, 0)
    return curves(error, features, note, features, penalty), gradients(
        params, centred, features, error, grad, pull
    )


@torch.no_grad()
def topk(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`losses.mse` with TopK by dense products, and its gradients: for narrow dictionaries, or k a
    good share of the width."""
    assert isinstance(nonlinearity, TopK)
    centred, encoder, decoder = operands(params, x, dtype)
    pre = torch.baddbmm(params["b_enc"][:, None].to(dtype), centred, encoder)
    values, index = pre.topk(nonlinearity.k, dim=-1, sorted=False)
    # The features take the memory of the pre-activations, which nothing reads any more.
    features = pre.zero_().scatter_(-1, index, values.relu_())
    error = error_of(params, x, features @ decoder)
    grad = output_gradient(error, dtype)
    pull = where_positive(grad @ decoder.mT, features, 0)
    return curves(error, features, note), gradients(params, centred, features, error, grad, pull)


@torch.no_grad()
def gated(
    loss: Loss,
    params: Params,
    x: torch.Tensor,
    nonlinearity: Nonlinearity,
    penalty: torch.Tensor,
    dtype: torch.dtype,
    more: Mapping[str, Any] = NOTHING,
    note: Note | None = None,
) -> Step:
    """`losses.gated` or `losses.gated_no_aux`, and its gradients."""
    centred, encoder, decoder = operands(params, x, dtype)
    b, runs, f = x.shape[-2], len(encoder), encoder.shape[-1]
    aux = loss is losses.gated
    z = centred @ encoder
    stretch = params["r_mag"].exp()[:, None].to(dtype)
    # codes of both reconstructions, for one product: rows 0 … b are the features, rows b … 2b the
    # gate itself
    codes = torch.empty((runs, 2 * b if aux else b, f), dtype=dtype, device=z.device)
    # Views of `codes`: what is written to them below is what the product reads.
    features, gate = codes[:, :b], codes[:, b:] if aux else torch.empty_like(z)
    torch.add(z, params["b_enc"][:, None].to(dtype), out=gate).relu_()
    magnitude = torch.addcmul(params["b_mag"][:, None].to(dtype), z, stretch).relu_()
    # `where_positive` is made for gradients, but is what a hard gate does: the magnitude where
    # π_gate > 0, 0 elsewhere.
    features.copy_(where_positive(magnitude, gate, 0))
    decoded = codes @ decoder
    errors = [error_of(params, x, part) for part in decoded.split(b, 1)]
    grad = torch.cat([output_gradient(error, dtype) for error in errors], 1)
    pulls = grad @ decoder.mT
    # The Heaviside lets no gradient through to the gate; penalty and auxiliary term alone move it.
    pull = where_positive(pulls[:, :b], features, 0)
    pull_gate = where_positive(
        plus_share(pulls[:, b:] if aux else torch.zeros_like(gate), penalty, x), gate, 0
    )
    # one projection, two ways to it: the magnitude's through exp(r_mag), the gate's directly
    both = torch.addcmul(pull_gate, pull, stretch)
    # Decoder and b_dec are frozen in the auxiliary term, hence the first error and the first half
    # of `grad`; the encoder, and b_dec as what it takes from x, are not, hence `both`.
    grads = gradients(params, centred, features, errors[0], grad[:, :b], both)
    # Each path has a bias of its own, so that the b_enc of `gradients`, the sum of both, is
    # replaced.
    grads |= {"b_enc": pull_gate.sum(1).float(), "b_mag": pull.sum(1).float()}
    # ∂f/∂r_mag = exp(r_mag) z. In place, and therefore last: `pull` is gone afterwards.
    grads["r_mag"] = stretch[:, 0] * pull.mul_(z).sum(1).float()
    series = curves(errors[0], features, note, gate, penalty)
    if aux:
        series["loss"] = series["loss"] + mean_square(errors[1])
    return series, grads
