"""What dictionaries are trained to make small: bare functions of parameters and inputs, one number
per run.

Every loss has the form `loss(params, x, nonlinearity, penalty, y=None) -> [run]`; `penalty` is λ
[run], y the target where it is not x itself (see `terms.py` for the rest). One that needs more of
the training asks for it by name, and gets it: `idle` [run, f], rows since each latent last fired;
`progress`, the share of the steps done. A loss with settings is a frozen dataclass with a call.
Squared errors are divided by d and the sum of features by √d, so that λ means the same at every
width of the input. All are plain differentiable torch: `kernels/sparse.py` has sparse steps for
some, and tests compare the two."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import cast

from jaxtyping import Float

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.dictionaries.gates import gate
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.auxiliary import Matryoshka, TopKAux
from assay.dictionaries.training.terms import (
    ByRun,
    Loss,
    Params,
    Rows,
    as_tensors,
    decode,
    feature_sum,
    frozen,
    project,
    squared_error,
)

__all__ = [
    "ByRun",
    "L1Weighted",
    "Loss",
    "Matryoshka",
    "Params",
    "Rows",
    "TopKAux",
    "decode",
    "feature_sum",
    "gated",
    "gated_no_aux",
    "gated_sigmoid",
    "gated_unfrozen_aux",
    "jumprelu",
    "l1",
    "l1_weighted",
    "mse",
    "project",
    "squared_error",
    "topk_aux",
    "wants",
]


def wants(loss: Loss) -> frozenset[str]:
    """What a loss asks for by name besides parameters, inputs, nonlinearity and penalty: among y,
    idle, progress.

    Args:
        loss: of this module or of its form.
    Example:
        >>> from assay.dictionaries.training import losses
        >>> sorted(losses.wants(losses.l1)), sorted(losses.wants(losses.topk_aux))
        (['y'], ['idle', 'y'])
    """
    # The first four are those of every loss: parameters, inputs, nonlinearity, penalty.
    return frozenset(list(inspect.signature(loss).parameters)[4:])


def mse(
    params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun, y: Rows | None = None
) -> ByRun:
    """Squared error alone, for nonlinearities that bound L0 themselves, such as TopK; `penalty` is
    not used.

    Args:
        params: W_enc [run, d, f], b_enc [run, f], W_dec [run, f, d], b_dec [run, d],
            and the nonlinearity's, [run, …].
        x: normalised inputs, [b, d] or [run, b, d].
        nonlinearity: gives the features.
        penalty: not used.
        y: targets as x; None: x.
    Formula: mean of ‖x − x̂‖² / d
    Source: Scaling and evaluating sparse autoencoders (2024), section 2.3, without the auxiliary
    loss
    Example:
        >>> import torch
        >>> from assay.dictionaries import ReLU
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> x = torch.tensor([[6.0, 0.0, 0.0, -4.0]])
        >>> losses.mse(params, x, ReLU(), torch.ones(1))  # the −4 is lost: 16/4
        tensor([4.])
    """
    params, x, y = as_tensors(params, x, y)
    return squared_error(
        y,
        decode(params, nonlinearity(project(params, x, nonlinearity), params["b_enc"], params), x),
    )


def l1(
    params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun, y: Rows | None = None
) -> ByRun:
    """Squared error and λ times the sum of features.

    Args:
        params: W_enc [run, d, f], b_enc [run, f], W_dec [run, f, d], b_dec [run, d],
            and the nonlinearity's, [run, …].
        x: normalised inputs, [b, d] or [run, b, d].
        nonlinearity: gives the features.
        penalty: λ, [run].
        y: targets as x; None: x.
    Formula: mean of ‖x − x̂‖² / d + λ Σ f / √d
    Source: Towards Monosemanticity (2023), "Sparse Autoencoder Training"
    Differs: both terms are divided (by d and √d), a constant factor at one site
    Example:
        >>> import torch
        >>> from assay.dictionaries import ReLU
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> x = torch.tensor([[6.0, 0.0, 0.0, -4.0]])
        >>> losses.l1(params, x, ReLU(), torch.ones(1))  # 16/4 + 6/√4
        tensor([7.])
    """
    params, x, y = as_tensors(params, x, y)
    features = nonlinearity(project(params, x, nonlinearity), params["b_enc"], params)
    return squared_error(y, decode(params, features, x)) + torch.as_tensor(penalty) * feature_sum(
        features, y.shape[-1]
    )


@dataclass(frozen=True)
class L1Weighted:
    """Squared error and λ times the features weighted by the length of their decoder rows, which
    may then be free.

    Formula: mean of ‖x − x̂‖² / d + λ Σ_i f_i Σ_l ‖W_dec,i^l‖ / √d, l the parts of a row: the
    layers of a crosscoder
    Source: Circuits Updates, April 2024, "How we train SAEs"; October 2024, "Sparse Crosscoders"
    Differs: both terms are divided (by d and √d), a constant factor at one site
    Example:
        >>> import torch
        >>> from assay.dictionaries import ReLU
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye / 2, "b_enc": zero, "W_dec": eye * 2, "b_dec": zero}
        >>> x = torch.tensor([[6.0, 0.0, 0.0, -4.0]])
        >>> losses.l1_weighted(params, x, ReLU(), torch.ones(1))  # 16/4 + 3·2/√4: as with unit rows
        tensor([7.])
    """

    parts: tuple[int, ...] = ()
    """Widths of the layers that are concatenated in a decoder row; (): one."""

    def __call__(
        self,
        params: Params,
        x: Rows,
        nonlinearity: Nonlinearity,
        penalty: ByRun,
        y: Rows | None = None,
    ) -> ByRun:
        """The loss of each run; what it takes is what `l1` takes."""
        params, x, y = as_tensors(params, x, y)
        features = nonlinearity(project(params, x, nonlinearity), params["b_enc"], params)
        if self.parts and sum(self.parts) != y.shape[-1]:
            raise SpecError(
                f"L1Weighted's parts are the widths of the concatenated layers: {self.parts} "
                f"is not {y.shape[-1]} in sum"
            )
        weighted = feature_sum(features * self.lengths(params["W_dec"])[:, None], y.shape[-1])
        return squared_error(y, decode(params, features, x)) + torch.as_tensor(penalty) * weighted

    def lengths(self, W_dec: Float[torch.Tensor, "run f d"]) -> Float[torch.Tensor, "run f"]:
        """The sum of the lengths of each row's parts."""
        rows = W_dec.split(list(self.parts) or W_dec.shape[-1], -1)
        return torch.stack([torch.linalg.vector_norm(part, dim=-1) for part in rows]).sum(0)


l1_weighted = L1Weighted()
topk_aux = TopKAux()


def jumprelu(
    params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun, y: Rows | None = None
) -> ByRun:
    """Squared error and λ times L0, whose gradient in the thresholds is JumpReLU's estimate.

    Args:
        params: W_enc [run, d, f], b_enc [run, f], W_dec [run, f, d], b_dec [run, d],
            and the nonlinearity's, [run, …].
        x: normalised inputs, [b, d] or [run, b, d].
        nonlinearity: JumpReLU.
        penalty: λ, [run]: the price of one feature that is on.
        y: targets as x; None: x.
    Formula: mean of ‖x − x̂‖² / d + λ Σ 1[π > threshold]
    Source: Jumping Ahead (2024), section 3; its inputs have E‖x‖² = 1 and errors are not divided by
    d, so λ is the same number
    Example:
        >>> import torch
        >>> from assay.dictionaries import JumpReLU
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> params |= {"threshold": zero + 1}
        >>> x = torch.tensor([[6.0, 0.0, 0.0, -4.0]])
        >>> losses.jumprelu(params, x, JumpReLU(), torch.ones(1))  # 16/4 + one that is on
        tensor([5.])
    """
    params, x, y = as_tensors(params, x, y)
    z = project(params, x, nonlinearity)
    features = nonlinearity(z, params["b_enc"], params)
    # The features' own gradient knows nothing of their number: L0 comes with an estimate of its
    # own.
    opened = cast(JumpReLU, nonlinearity).opened(z, params["b_enc"], params)
    return squared_error(y, decode(params, features, x)) + torch.as_tensor(penalty) * opened.sum(
        -1
    ).mean(-1)


def gated(
    params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun, y: Rows | None = None
) -> ByRun:
    """The Gated loss: squared error, λ times the gate's ReLU, and the gate's own reconstruction
    through a frozen decoder copy.

    Args:
        params: W_enc [run, d, f], b_enc [run, f], W_dec [run, f, d], b_dec [run, d],
            and the nonlinearity's, [run, …].
        x: normalised inputs, [b, d] or [run, b, d].
        nonlinearity: of the Gated family.
        penalty: λ, [run].
        y: targets as x; None: x.
    Formula: mean of ‖x − x̂‖² / d + λ Σ ReLU(π_gate) / √d + ‖x − x̂_aux‖² / d,
    with π_gate = z + b_enc and x̂_aux = ReLU(π_gate) sg(W_dec) + sg(b_dec), sg a copy that gets no
    gradient
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 3.2
    Differs: both terms are divided (by d and √d), a constant factor at one site
    Example:
        >>> import torch
        >>> from assay.dictionaries import Gated
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> params |= {"r_mag": zero, "b_mag": zero}
        >>> x = torch.tensor([[6.0, 0.0, 0.0, -4.0]])
        >>> losses.gated(params, x, Gated(), torch.ones(1))  # 16/4 + 6/√4 + 16/4
        tensor([11.])
    """
    params, x, y = as_tensors(params, x, y)
    loss, opened = _gated(params, x, nonlinearity, penalty, y)
    # Only the decoder is frozen: through `opened` the term moves the encoder, and b_dec by what
    # that takes away from x.
    return loss + squared_error(y, decode(frozen(params), opened, x))


def gated_no_aux(
    params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun, y: Rows | None = None
) -> ByRun:
    """The Gated loss without its auxiliary term: nothing but the penalty then moves a hard gate,
    and it drifts shut.

    With GatedSigmoid it is the naive loss of a smooth gate that the penalty sees only where π_gate
    > 0.

    Args:
        params: W_enc [run, d, f], b_enc [run, f], W_dec [run, f, d], b_dec [run, d],
            and the nonlinearity's, [run, …].
        x: normalised inputs, [b, d] or [run, b, d].
        nonlinearity: of the Gated family.
        penalty: λ, [run].
        y: targets as x; None: x.
    Formula: mean of ‖x − x̂‖² / d + λ Σ ReLU(π_gate) / √d
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 3.2.2
    Example:
        >>> import torch
        >>> from assay.dictionaries import Gated
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> params |= {"r_mag": zero, "b_mag": zero}
        >>> x = torch.tensor([[6.0, 0.0, 0.0, -4.0]])
        >>> losses.gated_no_aux(params, x, Gated(), torch.ones(1))  # 16/4 + 6/√4
        tensor([7.])
    """
    params, x, y = as_tensors(params, x, y)
    return _gated(params, x, nonlinearity, penalty, y)[0]


def gated_unfrozen_aux(
    params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun, y: Rows | None = None
) -> ByRun:
    """The Gated loss whose auxiliary term moves the decoder as well: an ablation, and a common
    mistake.

    Args:
        params: W_enc [run, d, f], b_enc [run, f], W_dec [run, f, d], b_dec [run, d],
            and the nonlinearity's, [run, …].
        x: normalised inputs, [b, d] or [run, b, d].
        nonlinearity: of the Gated family.
        penalty: λ, [run].
        y: targets as x; None: x.
    Formula: as `gated`, with x̂_aux = ReLU(π_gate) W_dec + b_dec
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 5.2
    Example:
        >>> import torch
        >>> from assay.dictionaries import Gated
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> params |= {"r_mag": zero, "b_mag": zero}
        >>> x = torch.tensor([[6.0, 0.0, 0.0, -4.0]])
        >>> losses.gated_unfrozen_aux(params, x, Gated(), torch.ones(1))  # 16/4 + 6/√4 + 16/4
        tensor([11.])
    """
    params, x, y = as_tensors(params, x, y)
    loss, opened = _gated(params, x, nonlinearity, penalty, y)
    return loss + squared_error(y, decode(params, opened, x))


def gated_sigmoid(
    params: Params, x: Rows, nonlinearity: Nonlinearity, penalty: ByRun, y: Rows | None = None
) -> ByRun:
    """Squared error and λ times the sum of the gates themselves, for the smooth gate of
    GatedSigmoid.

    Args:
        params: W_enc [run, d, f], b_enc [run, f], W_dec [run, f, d], b_dec [run, d],
            and the nonlinearity's, [run, …].
        x: normalised inputs, [b, d] or [run, b, d].
        nonlinearity: GatedSigmoid.
        penalty: λ, [run].
        y: targets as x; None: x.
    Formula: mean of ‖x − x̂‖² / d + λ Σ σ(π_gate) / √d
    Source: R. Shah, comment in the discussion of the Gated paper
    Example:
        >>> import torch
        >>> from assay.dictionaries import GatedSigmoid
        >>> from assay.dictionaries.training import losses
        >>> eye, zero = torch.eye(4)[None], torch.zeros(1, 4)
        >>> params = {"W_enc": eye, "b_enc": zero, "W_dec": eye, "b_dec": zero}
        >>> params |= {"r_mag": zero, "b_mag": zero}
        >>> x = torch.zeros(1, 4)
        >>> losses.gated_sigmoid(params, x, GatedSigmoid(), torch.ones(1))  # 4·σ(0)/√4
        tensor([1.])
    """
    params, x, y = as_tensors(params, x, y)
    z = project(params, x, nonlinearity)
    error = squared_error(y, decode(params, nonlinearity(z, params["b_enc"], params), x))
    return error + torch.as_tensor(penalty) * feature_sum(
        gate(z, params["b_enc"]).sigmoid(), y.shape[-1]
    )


def _gated(
    params: Params, x: torch.Tensor, nonlinearity: Nonlinearity, penalty: ByRun, y: torch.Tensor
) -> tuple[ByRun, torch.Tensor]:
    """Squared error and penalty of the gate, and the gate's ReLU [run, b, f]."""
    z = project(params, x, nonlinearity)
    opened = gate(z, params["b_enc"]).relu()
    error = squared_error(y, decode(params, nonlinearity(z, params["b_enc"], params), x))
    return error + torch.as_tensor(penalty) * feature_sum(opened, y.shape[-1]), opened
