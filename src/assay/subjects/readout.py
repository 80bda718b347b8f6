"""Readout: what neurons write to the residual stream, and the norm before the unembedding, as
arithmetic on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float

from assay.core.errors import ModelError
from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained, gain
from assay.subjects.site import Site

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


def mlp_output(model: Pretrained, layer: int) -> tuple[Any, Any]:
    """Find the last matrix of a block's MLP, and the norm between it and the stream, or None.
    Raises: ModelError for a block that the model lacks."""
    model.folder.check(Site("mlp_out", layer))
    model.folder.check(Site("mlp_post", layer))
    block, sites = model.blocks[layer], model.places
    matrix, out = (block.get_submodule(sites[k].module) for k in ("mlp_post", "mlp_out"))
    return matrix, None if matrix is out else out


def output_matrix(model: Pretrained, layer: int) -> Float[torch.Tensor, "m d"]:
    """Give what the last matrix of a block's MLP makes of each neuron, float32, before a norm where
    there is one. Raises: ModelError as `mlp_output`."""
    matrix, _ = mlp_output(model, layer)
    W: torch.Tensor = matrix.weight.detach().float().cpu()
    # GPT-2 keeps its matrices input first
    return W.T.contiguous() if isinstance(matrix, torch.nn.Linear) else W


def written_by_neurons(model: Pretrained, layer: int) -> Float[torch.Tensor, "m d"]:
    """Give what each neuron of a block writes to the stream at an activation of 1, the weight of a
    norm behind the MLP multiplied in. Raises: ModelError as `mlp_output`."""
    W, (_, norm) = output_matrix(model, layer), mlp_output(model, layer)
    return W if norm is None else W * gain(norm).cpu()
