"""Gradients written by hand, about a quarter cheaper than autograd's: no gradient for x, and Gated's two decodes are one product.

TopK of a wide dictionary has a sparse step of its own (`sparse.py`). Products run in `dtype`, everything between them in float32.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from assay.dictionaries import losses
from assay.dictionaries.kernels.reference import Kernel, Step, autograd
from assay.dictionaries.kernels.sparse import pays, topk_sparse
from assay.dictionaries.losses import Loss, Params
from assay.dictionaries.nonlinearity import Gated, Nonlinearity, ReLU, TopK

CACHED = 3 * 2**17
"""Features of one chunk of runs, rows × width × runs, that stay in a CPU's caches: 18 runs in one piece are slower than in 18."""

_where_positive = torch.ops.aten.threshold_backward  # (gradient, output, 0): the gradient where output > 0, in one pass


def kernel_for(loss: Loss, nonlinearity: Nonlinearity, width: int) -> Kernel:
    """The fastest kernel for this loss and nonlinearity; plain autograd where none was written by hand."""
    if loss is losses.l1 and isinstance(nonlinearity, ReLU):
        return relu
    if loss in (losses.gated, losses.gated_no_aux) and isinstance(nonlinearity, Gated):
        return gated
    if loss is losses.mse and isinstance(nonlinearity, TopK):
        return topk_sparse if pays(nonlinearity.k, width) else topk
    return autograd


def in_chunks(
    kernel: Kernel,
    loss: Loss,
    params: Params,
    x: Tensor,
    nonlinearity: Nonlinearity,
    penalty: Tensor,
    dtype: torch.dtype,
    room: dict[str, Tensor],
) -> Step:
    """What `kernel` gives, computed for a few runs at a time where that keeps a CPU's caches warm; gradients in float32.

    `room` holds the gradients of all runs from one call to the next: fresh memory of that size costs as much as a product.
    """
    runs, f, _ = params["W_enc"].shape
    size = runs if x.device.type != "cpu" else 1 if kernel is topk_sparse else max(1, CACHED // (x.shape[-2] * f))
    if size >= runs:
        series, grads = kernel(loss, params, x, nonlinearity, penalty, dtype)
        return series, {name: value.float() for name, value in grads.items()}
    found: list[dict[str, Tensor]] = []
    for a in range(0, runs, size):
        part = {name: value[a : a + size] for name, value in params.items()}
        series, grads = kernel(loss, part, x if x.ndim == 2 else x[a : a + size], nonlinearity, penalty[a : a + size], dtype)
        found.append(series)
        for name, value in grads.items():
            if name not in room:
                room[name] = torch.empty_like(params[name])
            room[name][a : a + size] = value
    return {name: torch.cat([series[name] for series in found]) for name in found[0]}, room


@torch.no_grad()
def relu(loss: Loss, params: Params, x: Tensor, nonlinearity: Nonlinearity, penalty: Tensor, dtype: torch.dtype) -> Step:
    """`losses.l1` with ReLU, and its gradients."""
    centred, z, decoder = _project(params, x, dtype)
    features = z.add_(params["b_enc"][:, None]).relu_()
    low = features.to(dtype)
    error = _error(params, x, low @ decoder)
    grad = _output_gradient(error, dtype)
    pull = (grad @ decoder.mT).float() + _share(penalty, x)
    series = _series(error, features, features, penalty)
    return series, _gradients(params, centred, low, error, grad, _where_positive(pull, features, 0))


@torch.no_grad()
def topk(loss: Loss, params: Params, x: Tensor, nonlinearity: Nonlinearity, penalty: Tensor, dtype: torch.dtype) -> Step:
    """`losses.mse` with TopK by dense products, and its gradients: for narrow dictionaries, or k a good share of the width."""
    assert isinstance(nonlinearity, TopK)
    centred, z, decoder = _project(params, x, dtype)
    values, index = z.add_(params["b_enc"][:, None]).topk(nonlinearity.k, dim=-1, sorted=False)
    features = torch.zeros_like(z).scatter_(-1, index, values.relu_())
    low = features.to(dtype)
    error = _error(params, x, low @ decoder)
    grad = _output_gradient(error, dtype)
    pull = (grad @ decoder.mT).float()
    return _series(error, features), _gradients(params, centred, low, error, grad, _where_positive(pull, features, 0))


@torch.no_grad()
def gated(loss: Loss, params: Params, x: Tensor, nonlinearity: Nonlinearity, penalty: Tensor, dtype: torch.dtype) -> Step:
    """`losses.gated` or `losses.gated_no_aux`, and its gradients."""
    centred, z, decoder = _project(params, x, dtype)
    b = x.shape[-2]
    stretch = params["r_mag"].exp()[:, None]
    gate = (z + params["b_enc"][:, None]).relu_()
    magnitude = torch.addcmul(params["b_mag"][:, None], z, stretch).relu_()
    features = _where_positive(magnitude, gate, 0)
    share = _share(penalty, x)
    if loss is losses.gated:  # rows b … 2b are the gate's own reconstruction, through the same decoder
        both = torch.empty((len(z), 2 * b, z.shape[-1]), dtype=dtype, device=z.device)
        both[:, :b], both[:, b:] = features, gate
        decoded = both @ decoder
        error, error_aux = _error(params, x, decoded[:, :b]), _error(params, x, decoded[:, b:])
        grads_out = torch.empty_like(decoded)
        grads_out[:, :b], grads_out[:, b:] = _output_gradient(error, dtype), _output_gradient(error_aux, dtype)
        pulls = grads_out @ decoder.mT
        low, grad, pull = both[:, :b], grads_out[:, :b], pulls[:, :b].float()
        pull_gate = _where_positive(pulls[:, b:].float().add_(share), gate, 0)
        aux = _mean_square(error_aux)
    else:
        low = features.to(dtype)
        error = _error(params, x, low @ decoder)
        grad = _output_gradient(error, dtype)
        pull = (grad @ decoder.mT).float()
        pull_gate = gate.sign().mul_(share)
        aux = torch.zeros_like(penalty)
    pull = _where_positive(pull, features, 0)
    # one projection, two ways to it: the magnitude's through exp(r_mag), the gate's directly
    grads = _gradients(params, centred, low, error, grad, torch.addcmul(pull_gate, pull, stretch))
    grads |= {"b_enc": pull_gate.sum(1), "b_mag": pull.sum(1), "r_mag": stretch[:, 0] * pull.mul_(z).sum(1)}
    series = _series(error, features, gate, penalty)
    return series | {"loss": series["loss"] + aux}, grads


def _project(params: Params, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """x − b_dec in `dtype`, its projections [run, b, f] in float32, and W_dec in `dtype`."""
    centred = (x - params["b_dec"][:, None]).to(dtype)
    return centred, (centred @ params["W_enc"].to(dtype).mT).float(), params["W_dec"].to(dtype)


def _error(params: Params, x: Tensor, decoded: Tensor) -> Float[Tensor, "run b d"]:
    return (params["b_dec"][:, None] - x).add_(decoded)


def _output_gradient(error: Float[Tensor, "run b d"], dtype: torch.dtype) -> Float[Tensor, "run b d"]:
    return (error * (2 / (error.shape[1] * error.shape[2]))).to(dtype)


def _share(penalty: Float[Tensor, "run"], x: Tensor) -> Float[Tensor, "run 1 1"]:
    """The penalty's gradient at each feature that is on."""
    return (penalty / (x.shape[-2] * x.shape[-1] ** 0.5))[:, None, None]


def _gradients(params: Params, centred: Tensor, features: Tensor, error: Tensor, grad: Tensor, pull: Tensor) -> dict[str, Tensor]:
    """Gradients of the parameters from those of the reconstruction (`grad`) and of the projections (`pull`)."""
    b_enc = pull.sum(1)
    return {
        "W_enc": pull.to(features.dtype).mT @ centred,
        "b_enc": b_enc,
        "W_dec": features.mT @ grad,
        # the decoder adds b_dec, the encoder takes it away from x
        "b_dec": error.sum(1) * (2 / (error.shape[1] * error.shape[2])) - (b_enc[:, None] @ params["W_enc"])[:, 0],
    }


def _mean_square(error: Float[Tensor, "run b d"]) -> Float[Tensor, "run"]:
    return torch.linalg.vector_norm(error, dim=(1, 2)).square() / (error.shape[1] * error.shape[2])


def _series(
    error: Tensor, features: Tensor, penalised: Tensor | None = None, penalty: Tensor | None = None
) -> dict[str, Float[Tensor, "run"]]:
    """The training curves: loss, mse and L0."""
    b, d = error.shape[1:]
    mse = _mean_square(error)
    series = {"loss": mse, "mse": mse, "l0": features.sign().sum((1, 2)) / b}  # sign: five times faster than counting
    if penalty is not None and penalised is not None:
        series["loss"] = mse + penalty * penalised.sum((1, 2)) / (b * d**0.5)
    return series
