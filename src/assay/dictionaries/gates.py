"""The Gated family: on or off decided by one path, how much by another; Gated itself and what its
ablations need.

In all of them b_enc is the gate's bias and π_gate = z + b_enc, which the gated losses penalise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float

from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Bias, ByFeature, Own


def gate(z: Float[torch.Tensor, "run b n"], b_enc: Bias) -> ByFeature:
    """π_gate, the pre-activations of the gate; z may have the projections of further encoders
    behind the gate's own.

    Formula: π_gate = z[…, :f] + b_enc
    """
    return z[..., : b_enc.shape[-1]] + b_enc[:, None]


@dataclass(frozen=True)
class Gated:
    """f = 1[z + b_enc > 0] · max(exp(r_mag)·z + b_mag, 0): on or off apart from how much. b_enc is
    the gate's bias.

    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 3.2, with
    tied weights.
    Example:
        >>> import torch
        >>> from assay.dictionaries import Gated
        >>> z, b_enc = torch.tensor([[[2.0, -1.0]]]), torch.zeros(1, 2)
        >>> parameters = Gated().init(1, 2) | {"b_mag": torch.full((1, 2), 3.0)}
        >>> Gated()(z, b_enc, parameters)  # magnitudes 5 and 2; the second gate is shut
        tensor([[[5., 0.]]])
    """

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """r_mag and b_mag, both 0: magnitudes start equal to the gate's pre-activations."""
        return {"r_mag": torch.zeros(runs, f), "b_mag": torch.zeros(runs, f)}

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Features [run, b, f]; the gate is strict, and lets no gradient through."""
        magnitude = (z * parameters["r_mag"].exp()[:, None] + parameters["b_mag"][:, None]).relu()
        # A comparison gives a mask without a gradient, and no estimate replaces it: the gate's bias
        # learns from the loss's other terms alone.
        return magnitude * (z + b_enc[:, None] > 0)


@dataclass(frozen=True)
class GatedShift:
    """f = 1[z + b_enc > 0] · max(z + b_mag, 0): Gated without r_mag, so that the two paths differ
    by a bias alone.

    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 5.2
    Example:
        >>> import torch
        >>> from assay.dictionaries import GatedShift
        >>> z, b_enc = torch.tensor([[[2.0, -1.0]]]), torch.zeros(1, 2)
        >>> GatedShift()(z, b_enc, {"b_mag": torch.full((1, 2), 3.0)})
        tensor([[[5., 0.]]])
    """

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """b_mag, 0."""
        return {"b_mag": torch.zeros(runs, f)}

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        return (z + parameters["b_mag"][:, None]).relu() * (z + b_enc[:, None] > 0)


@dataclass(frozen=True)
class GatedUntied:
    """f = 1[z + b_enc > 0] · max(z_mag + b_mag, 0) with z_mag = (x − b_dec) W_mag: magnitudes from
    an encoder of their own.

    Its own W_mag is [run, d_in, f]; the projections that it gets are those of W_enc and of W_mag
    side by side, [run, b, 2f].
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 5.2
    Example:
        >>> import torch
        >>> from assay.dictionaries import GatedUntied
        >>> z = torch.tensor([[[1.0, -1.0, 4.0, 5.0]]])  # two gates, then their two magnitudes
        >>> GatedUntied()(z, torch.zeros(1, 2), GatedUntied().init(1, 2))
        tensor([[[4., 0.]]])
    """

    encoders: ClassVar[tuple[str, ...]] = ("W_mag",)
    """Its further encoders: they start equal to W_enc, and `projections` puts what they give behind
    z."""

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """b_mag, 0; W_mag starts as a copy of W_enc, which training knows."""
        return {"b_mag": torch.zeros(runs, f)}

    def __call__(
        self, z: Float[torch.Tensor, "run b 2*f"], b_enc: Bias, parameters: Own
    ) -> ByFeature:
        # As `projections` lays them: the gate's first.
        opens, amount = z.chunk(2, -1)
        return (amount + parameters["b_mag"][:, None]).relu() * (opens + b_enc[:, None] > 0)


@dataclass(frozen=True)
class GatedSigmoid:
    """f = σ(z + b_enc) · max(exp(r_mag)·z + b_mag, 0): a smooth gate that any loss can train; read
    afterwards with Gated's hard one.

    The soft code is dense, so it is never what is evaluated: `inference` is Gated.
    `Dictionary.as_trained` gives the soft code.
    Source: R. Shah, comment in the discussion of the Gated paper
    Example:
        >>> import torch
        >>> from assay.dictionaries import GatedSigmoid
        >>> soft, z, b_enc = GatedSigmoid(), torch.tensor([[[0.0]]]), torch.zeros(1, 1)
        >>> parameters = {"r_mag": torch.zeros(1, 1), "b_mag": torch.full((1, 1), 4.0)}
        >>> soft(z, b_enc, parameters), soft.inference(z, b_enc, parameters)  # σ(0) = 1/2; shut
        (tensor([[[2.]]]), tensor([[[0.]]]))
    """

    @property
    def inference(self) -> Gated:
        """What reads the trained dictionary: the same two paths with a hard gate."""
        return Gated()

    @property
    def counted(self) -> Gated:
        """Whose features say, in training, how many are on: the soft code is never 0."""
        return Gated()

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """r_mag and b_mag, both 0."""
        return Gated().init(runs, f)

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        """Soft features [run, b, f]."""
        magnitude = (z * parameters["r_mag"].exp()[:, None] + parameters["b_mag"][:, None]).relu()
        return magnitude * (z + b_enc[:, None]).sigmoid()


@dataclass(frozen=True)
class ScaledReLU:
    """f = exp(r_mag) · max(z + b_enc, 0): the gate's own ReLU made longer, Gated without its
    Heaviside.

    Source: R. Shah, discussion of the Gated paper: what it would take to undo shrinkage by a factor
    alone
    Example:
        >>> import torch
        >>> from assay.dictionaries import ScaledReLU
        >>> z, b_enc = torch.tensor([[[3.0, -1.0]]]), torch.zeros(1, 2)
        >>> ScaledReLU()(z, b_enc, {"r_mag": torch.full((1, 2), 2.0).log()}).round(decimals=3)
        tensor([[[6., 0.]]])
    """

    def init(self, runs: int, f: int) -> dict[str, torch.Tensor]:
        """r_mag, 0."""
        return {"r_mag": torch.zeros(runs, f)}

    def __call__(self, z: ByFeature, b_enc: Bias, parameters: Own) -> ByFeature:
        return (z + b_enc[:, None]).relu() * parameters["r_mag"].exp()[:, None]
