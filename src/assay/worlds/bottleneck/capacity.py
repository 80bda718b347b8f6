"""Capacity: how much of a dimension of its own a feature has, by two definitions that are one.

Rows of W are features here, W [.., f, d], as everywhere in Assay; papers write them as columns.
"""

from __future__ import annotations

from jaxtyping import Float

from assay.core.arrays import Array, as_tensor
from assay.core.errors import DataError
from assay.core.heavy import torch

SCHERLIS = "Scherlis et al. 2022, Polysemanticity and Capacity in Neural Networks"
ELHAGE = "Elhage et al. 2022, Toy Models of Superposition"


def capacity(W: Float[Array, "*run f d"]) -> Float[torch.Tensor, "*run f"]:
    """Capacity of each feature, a share of a dimension; 0 for a feature whose row is 0.

    Formula: C_i = (w_i·w_i)² / Σ_j (w_i·w_j)², j over all features and i itself.
    Range: 0 ≤ C_i ≤ leverage_i ≤ 1 and Σ C_i ≤ rank W. It stays when W is scaled or rotated, not
    when one row is scaled.
    Raises: DataError when W has no axes [.., f, d].
    Source: Scherlis et al. 2022, section 2.
    """
    W = _matrix(W)
    gram = W @ W.transpose(-1, -2)
    self_overlap, all_of_it = gram.diagonal(dim1=-2, dim2=-1).square(), gram.square().sum(-1)
    return self_overlap / torch.where(all_of_it > 0, all_of_it, 1)


def dimensionality(W: Float[Array, "*run f d"]) -> Float[torch.Tensor, "*run f"]:
    """Feature dimensionality of each feature, a share of a dimension: another way to write its
    capacity.

    Formula: D_i = ‖w_i‖² / Σ_j (ŵ_i·w_j)² with ŵ_i = w_i/‖w_i‖; times ‖w_i‖² above and below it is
    C_i, for any W.
    Raises: DataError when W has no axes [.., f, d].
    Source: Elhage et al. 2022, Toy Models of Superposition, "The geometry of superposition".
    """
    W = _matrix(W)
    norm = torch.linalg.vector_norm(W, dim=-1)
    unit = W / torch.where(norm > 0, norm, 1).unsqueeze(-1)
    shared = (unit @ W.transpose(-1, -2)).square().sum(-1)
    return norm.square() / torch.where(shared > 0, shared, 1)


def _matrix(W: Array) -> torch.Tensor:
    """Weights as a tensor with at least one feature and one dimension."""
    W = as_tensor(W)
    if W.ndim < 2 or 0 in W.shape:
        raise DataError(
            "weights must be [.., feature, width], with at least one of each, got shape "
            f"{list(W.shape)}"
        )
    return W
