"""Which positions count: neither the first of a window nor massive activations, which no dictionary
was trained on."""

from __future__ import annotations

from jaxtyping import Bool, Float

from assay.core.heavy import torch


def select_positions(
    inputs: Float[torch.Tensor, "w s d_in"],
    acts: Float[torch.Tensor, "w s d"],
    limits: tuple[float, float],
    skip_first: int,
) -> Bool[torch.Tensor, "w s"]:
    """The positions that are neither among the first of their window nor longer than the limits."""
    inside = (_length(inputs) <= limits[0]) & (_length(acts) <= limits[1])
    inside[:, :skip_first] = False
    return inside


def outlier_limit(x: Float[torch.Tensor, "... d"], outlier: float) -> float:
    """The length above which an activation counts as an outlier: so many medians; ∞ where none
    does."""
    return outlier * float(_length(x).median()) if outlier else float("inf")


def _length(x: Float[torch.Tensor, "... d"]) -> Float[torch.Tensor, "..."]:
    return torch.linalg.vector_norm(x, dim=-1)
