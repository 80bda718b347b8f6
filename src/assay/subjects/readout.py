"""Readout: the norm before the unembedding, as arithmetic on the residual stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained

ROWS = 65_536
"""Tokens whose unembeddings are held in float64 at once."""


@dataclass(frozen=True)
class Norm:
    """The norm before the unembedding, without its gain: N(x) = P x / σ(x)."""

    centres: bool
    """Whether it takes the mean away (LayerNorm; RMSNorm does not)."""
    eps: float
    """Added to σ²."""

    def project(self, x: Float[torch.Tensor, "... d"]) -> Float[torch.Tensor, "... d"]:
        """P x: the mean over the d numbers taken away, or x itself under RMSNorm."""
        return x - x.mean(-1, keepdim=True) if self.centres else x

    def sigma(self, x: Float[torch.Tensor, "... d"]) -> Float[torch.Tensor, "... 1"]:
        """The norm's divisor.

        Formula: √(‖P x‖²/d + eps)
        """
        return (self.project(x).square().mean(-1, keepdim=True) + self.eps).sqrt()


def final_norm(model: Pretrained) -> Norm:
    """The model's norm before the unembedding, without its gain. Raises: ModelError where it is
    neither LayerNorm nor RMSNorm."""
    return norm_of(model, model.final_norm)


def norm_of(model: Pretrained, norm: Any) -> Norm:
    """A norm of the model, without its gain. Raises: ModelError where it is neither LayerNorm nor
    RMSNorm."""
    layer_norm = isinstance(norm, torch.nn.LayerNorm)
    eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
    if eps is None:
        raise ModelError(
            f"{model.name} has a norm Assay cannot read; expected LayerNorm or RMSNorm"
        )
    return Norm(layer_norm, float(eps))
