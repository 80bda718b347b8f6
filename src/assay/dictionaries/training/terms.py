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
ByRun: TypeAlias = 'Float[torch.Tensor, " run"]'
Loss = Callable[..., ByRun]


def squared_error(
    x: Float[torch.Tensor, "*run b d"], x_hat: Float[torch.Tensor, "*run b d"]
) -> Float[torch.Tensor, "*run"]:
    """Mean squared error per dimension.

    Args:
        x: targets, [b, d] or [run, b, d].
        x_hat: reconstructions, as x.
    Formula: mean over rows of ‖x − x̂‖² / d
    Example:
        >>> import torch
        >>> from assay.dictionaries.training.losses import squared_error
        >>> squared_error(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))  # (9 + 16)/2
        tensor(12.5000)
    """
    # The run axis stays: a mean over it would divide each run's gradient by the number of its
    # neighbours.
    return (torch.as_tensor(x) - torch.as_tensor(x_hat)).square().mean((-2, -1))


def feature_sum(features: Float[torch.Tensor, "*run b f"], d: int) -> Float[torch.Tensor, "*run"]:
    """Mean sum of the (non-negative) features, over √d: the L1 penalty for decoder rows of unit
    length.

    Args:
        features: at least 0, [b, f] or [run, b, f].
        d: width of the input.
    Formula: mean over rows of Σ f / √d
    Example:
        >>> import torch
        >>> from assay.dictionaries.training.losses import feature_sum
        >>> feature_sum(torch.tensor([[3.0, 0.0], [1.0, 4.0]]), d=4)  # (3 + 5)/2 over √4
        tensor(2.)
    """
    return torch.as_tensor(features).sum(-1).mean(-1) / d**0.5


def project(
    params: Params, x: Float[torch.Tensor, "*run b d"], nonlinearity: Nonlinearity | None = None
) -> Float[torch.Tensor, "run b n"]:
    """The encoder's projections without their bias, those of a nonlinearity's further encoders
    behind them.

    Args:
        params: W_enc [run, d, f], b_dec or b_pre [run, d], further encoders.
        x: normalised inputs, [b, d] or [run, b, d].
        nonlinearity: names its further encoders; None: none.
    Formula: z = (x − b_dec) W_enc, or (x − b_pre) W_enc where the target is not the input
    Example:
        >>> import torch
        >>> from assay.dictionaries.training.losses import project
        >>> params = {"W_enc": torch.eye(2)[None], "b_dec": torch.tensor([[1.0, 0.0]])}
        >>> project(params, torch.tensor([[3.0, -4.0]]))
        tensor([[[ 2., -4.]]])
    """
    centre = params["b_pre"] if "b_pre" in params else params["b_dec"]
    return projections(x - centre[:, None], params["W_enc"], params, nonlinearity)


def decode(
    params: Params,
    features: Float[torch.Tensor, "run b f"],
    x: Float[torch.Tensor, "*run b d"] | None = None,
) -> Float[torch.Tensor, "run b d"]:
    """The reconstruction.

    Args:
        params: W_dec [run, f, d], b_dec [run, d], perhaps W_skip [run, d, d].
        features: [run, b, f].
        x: the inputs, for W_skip.
    Formula: x̂ = f W_dec + b_dec (+ x W_skip)
    Example:
        >>> import torch
        >>> from assay.dictionaries.training.losses import decode
        >>> params = {"W_dec": torch.eye(2)[None], "b_dec": torch.tensor([[1.0, 0.0]])}
        >>> decode(params, torch.tensor([[[2.0, 0.0]]]))
        tensor([[[3., 0.]]])
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
