"""What losses are made of: projections, reconstruction, and the terms that several of them share.

`params` holds W_enc [run, d, f], b_enc, W_dec [run, f, d], b_dec and the nonlinearity's own;
transcoders have b_pre (what the encoder subtracts in place of b_dec) and perhaps W_skip besides. x
is normalised (E‖x‖² = d), [b, d] shared by the runs or [run, b, d]. NumPy arrays do as well as
tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Nonlinearity, projections

Params: TypeAlias = "Mapping[str, torch.Tensor]"
Rows: TypeAlias = 'Float[torch.Tensor, "b d"] | Float[torch.Tensor, "run b d"]'
ByRun: TypeAlias = 'Float[torch.Tensor, "run"]'
Loss = Callable[..., ByRun]


def squared_error(
    x: Float[torch.Tensor, "*run b d"], x_hat: Float[torch.Tensor, "*run b d"]
) -> Float[torch.Tensor, "*run"]:
    """Mean squared error per dimension.

    Formula: mean over rows of ‖x − x̂‖² / d
    """
    # The run axis stays: a mean over it would divide each run's gradient by the number of its
    # neighbours.
    return (torch.as_tensor(x) - torch.as_tensor(x_hat)).square().mean((-2, -1))


def feature_sum(features: Float[torch.Tensor, "*run b f"], d: int) -> Float[torch.Tensor, "*run"]:
    """Mean sum of the (non-negative) features, over √d: the L1 penalty for decoder rows of unit
    length.

    Formula: mean over rows of Σ f / √d
    """
    return torch.as_tensor(features).sum(-1).mean(-1) / d**0.5


def project(
    params: Params, x: Float[torch.Tensor, "*run b d"], nonlinearity: Nonlinearity | None = None
) -> Float[torch.Tensor, "run b n"]:
    """The encoder's projections without their bias, those of a nonlinearity's further encoders
    behind them.

    Formula: z = (x − b_dec) W_enc, or (x − b_pre) W_enc where the target is not the input
    """
    centre = params["b_pre"] if "b_pre" in params else params["b_dec"]
    return projections(x - centre[:, None], params["W_enc"], params, nonlinearity)


def decode(
    params: Params,
    features: Float[torch.Tensor, "run b f"],
    x: Float[torch.Tensor, "*run b d"] | None = None,
) -> Float[torch.Tensor, "run b d"]:
    """The reconstruction.

    Formula: x̂ = f W_dec + b_dec (+ x W_skip)
    """
    out = features @ params["W_dec"] + params["b_dec"][:, None]
    return out + x @ params["W_skip"] if x is not None and "W_skip" in params else out


def frozen(params: Params) -> dict[str, torch.Tensor]:
    """Replace the decoder by a copy that gets no gradient."""
    return {
        **params,
        **{name: params[name].detach() for name in ("W_dec", "b_dec", "W_skip") if name in params},
    }


def as_tensors(
    params: Mapping[str, np.ndarray | torch.Tensor],
    x: np.ndarray | torch.Tensor,
    y: np.ndarray | torch.Tensor | None = None,
) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """(params, x, y) as tensors; y, the target, is x where none is given."""
    x = torch.as_tensor(x)
    return (
        {name: torch.as_tensor(value) for name, value in params.items()},
        x,
        x if y is None else torch.as_tensor(y),
    )
