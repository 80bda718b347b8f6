"""Crowding: how hard other features push the way one feature points, by strength and by how often
they are on.

Capacity counts every overlap, whatever its sign. A reader that only sees what is positive, as a
ReLU does, is disturbed by neighbours that point the same way and not by an opposite one; so an
antipodal pair has half the capacity and no crowding."""

from __future__ import annotations

from jaxtyping import Float

from assay.core.arrays import Array, as_tensor
from assay.core.errors import DataError
from assay.core.heavy import torch


def crowding(
    W: Float[Array, "*run f d"], density: Float[Array, "*run f"] | None = None
) -> Float[torch.Tensor, "*run f"]:
    """Energy that other features leave on the positive side of each feature's direction, as a share
    of the feature's own.

    Without `density` as if all were on equally often; with it, each weighs by its probability of
    being on.

    Formula: Σ_{j≠i} p_j max(0, w_i·w_j)² / (p_i ‖w_i‖⁴); 0 for a feature whose row is 0
    Range: 0 to ∞; 0 for orthogonal features and for an antipodal pair
    Raises: DataError where W has no axes [.., f, d] or `density` is not one positive number for
    each feature."""
    W = as_tensor(W)
    if W.ndim < 2:
        raise DataError(
            f"crowding needs features as rows of a matrix [.., f, d], got shape {list(W.shape)}"
        )
    gram = W @ W.transpose(-1, -2)
    self_overlap = gram.diagonal(dim1=-2, dim2=-1)
    pushed = gram.clamp_min(0).square()
    pushed = pushed - torch.diag_embed(pushed.diagonal(dim1=-2, dim2=-1))
    if density is None:
        total, self_energy = pushed.sum(-1), self_overlap.square()
    else:
        density = as_tensor(density, W)
        if density.shape != self_overlap.shape or not bool((density > 0).all()):
            raise DataError(
                "crowding needs one positive density for each feature, "
                f"{list(self_overlap.shape)}, "
                f"got {list(density.shape)}"
            )
        total, self_energy = (
            (pushed * density.unsqueeze(-2)).sum(-1),
            density * self_overlap.square(),
        )
    return total / torch.where(self_energy > 0, self_energy, 1)
