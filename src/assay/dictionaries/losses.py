"""What dictionaries are trained to make small: bare functions of parameters and inputs, one number per run.

Every loss has the form `loss(params, x, nonlinearity, penalty) -> [run]`. `params` holds W_enc [run, d, f], b_enc,
W_dec [run, f, d], b_dec and the nonlinearity's own; x is normalised (E‖x‖² = d), [b, d] shared by the runs or [run, b, d];
`penalty` is λ [run].
Squared errors are divided by d and the sum of features by √d, so that λ means the same at every width of the input.
All are plain differentiable torch, and take NumPy arrays too: `kernels/cpu.py` has the hand-written gradients of the same
formulas, and tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from assay.dictionaries.nonlinearity import Nonlinearity

Params = Mapping[str, Tensor]
Rows = Float[Tensor, "b d"] | Float[Tensor, "run b d"]
ByRun = Float[Tensor, "run"]
Loss = Callable[[Params, Rows, Nonlinearity, ByRun], ByRun]


def squared_error(x: Float[Tensor, "*run b d"], x_hat: Float[Tensor, "*run b d"]) -> Float[Tensor, "*run"]:
    """Mean squared error per dimension.

    Formula: mean over rows of ‖x − x̂‖² / d
    """
    return (torch.as_tensor(x) - torch.as_tensor(x_hat)).square().mean((-2, -1))


def feature_sum(features: Float[Tensor, "*run b f"], d: int) -> Float[Tensor, "*run"]:
    """Mean sum of the (non-negative) features, over √d: the L1 penalty for decoder rows of unit length.

    Formula: mean over rows of Σ f / √d
    """
    return torch.as_tensor(features).sum(-1).mean(-1) / d**0.5


def project(params: Params, x: Float[Tensor, "*run b d"]) -> Float[Tensor, "run b f"]:
    """The encoder's projections without their bias.

    Formula: z = (x − b_dec) W_enc
    """
    return (x - params["b_dec"][:, None]) @ params["W_enc"]


def decode(params: Params, features: Float[Tensor, "run b f"]) -> Float[Tensor, "run b d"]:
    """The reconstruction.

    Formula: x̂ = f W_dec + b_dec
    """
    return features @ params["W_dec"] + params["b_dec"][:, None]


def mse(params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun) -> ByRun:
    """Squared error alone, for nonlinearities that bound L0 themselves, such as TopK; `penalty` is not used.

    Formula: mean of ‖x − x̂‖² / d
    Source: Scaling and evaluating sparse autoencoders (2024), section 2.3, without the auxiliary loss
    """
    params, x = _tensors(params, x)
    return squared_error(x, decode(params, nonlinearity(project(params, x), params["b_enc"], params)))


def l1(params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun) -> ByRun:
    """Squared error and λ times the sum of features.

    Formula: mean of ‖x − x̂‖² / d + λ Σ f / √d
    Source: Towards Monosemanticity (2023), "Sparse Autoencoder Training"
    Differs: both terms are divided (by d and √d), a constant factor at one site
    """
    params, x = _tensors(params, x)
    features = nonlinearity(project(params, x), params["b_enc"], params)
    return squared_error(x, decode(params, features)) + torch.as_tensor(penalty) * feature_sum(features, x.shape[-1])


def gated(params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun) -> ByRun:
    """The Gated loss: squared error, λ times the gate's ReLU, and the gate's own reconstruction through a frozen decoder copy.

    Formula: mean of ‖x − x̂‖² / d + λ Σ ReLU(π_gate) / √d + ‖x − x̂_aux‖² / d,
    with π_gate = z + b_enc and x̂_aux = ReLU(π_gate) sg(W_dec) + sg(b_dec), sg a copy that gets no gradient
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 3.2
    Differs: both terms are divided (by d and √d), a constant factor at one site
    """
    params, x = _tensors(params, x)
    gate = (project(params, x) + params["b_enc"][:, None]).relu()
    frozen = {"W_dec": params["W_dec"].detach(), "b_dec": params["b_dec"].detach()}
    return gated_no_aux(params, x, nonlinearity, penalty) + squared_error(x, decode(frozen, gate))


def gated_no_aux(params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun) -> ByRun:
    """The Gated loss without its auxiliary term: nothing but the penalty then moves the gate, and it drifts shut.

    Formula: mean of ‖x − x̂‖² / d + λ Σ ReLU(π_gate) / √d
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 3.2.2
    """
    params, x = _tensors(params, x)
    z = project(params, x)
    gate = (z + params["b_enc"][:, None]).relu()
    features = nonlinearity(z, params["b_enc"], params)
    return squared_error(x, decode(params, features)) + torch.as_tensor(penalty) * feature_sum(gate, x.shape[-1])


def _tensors(params: Mapping[str, np.ndarray | Tensor], x: np.ndarray | Tensor) -> tuple[dict[str, Tensor], Tensor]:
    return {name: torch.as_tensor(value) for name, value in params.items()}, torch.as_tensor(x)
