"""Capacity: how much of a dimension of its own a feature has; its bounds, and what a linear model
gains by giving it away.

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


def untied(
    M: Float[Array, "*run f f"],
) -> tuple[Float[torch.Tensor, "*run f"], Float[torch.Tensor, "*run f"]]:
    """Capacities (received, caused) of a model that reads with other weights than it writes: M[i,
    j] is how x_j moves x'_i.

    Formula: M_ii² / Σ_j M_ij², what feature i's output keeps of its own, and M_ii² / Σ_j M_ji²,
    what its input leaves to others. With M = W Wᵀ both are the capacity of W. Raises: DataError
    when M is not square."""
    M = _matrix(M)
    if M.shape[-1] != M.shape[-2]:
        raise DataError(
            "untied needs a map from features to features, a square matrix, got shape "
            f"{list(M.shape)}"
        )
    self_effect, square = M.diagonal(dim1=-2, dim2=-1).square(), M.square()
    received, caused = square.sum(-1), square.sum(-2)
    return self_effect / torch.where(received > 0, received, 1), self_effect / torch.where(
        caused > 0, caused, 1
    )


def leverage(W: Float[Array, "*run f d"]) -> Float[torch.Tensor, "*run f"]:
    """Upper bound of each feature's capacity: ℓ_i = w_iᵀ F⁺ w_i with F = Σ_j w_j w_jᵀ; it sums to
    the rank of W.

    By Cauchy and Schwarz (w·w)² ≤ (wᵀF w)(wᵀF⁺w), with equality where w_i is an eigenvector of F:
    capacities sum to the rank in unions of tight frames in orthogonal subspaces, and nowhere else.
    """
    W = _matrix(W)
    return (W * (W @ torch.linalg.pinv(W.transpose(-1, -2) @ W, hermitian=True))).sum(-1)


def linear_losses(
    importance: Float[torch.Tensor, "*run f"],
    variance: Float[torch.Tensor, "*run f"] | float,
    capacities: Float[torch.Tensor, "*run f"],
) -> Float[torch.Tensor, "*run f"]:
    """What each feature of a linear model still costs at these capacities, at the best gain of its
    read-out.

    x'_i = a_i Σ_j (w_i·w_j)(x_j − E x_j) + E x_i of independent inputs of equal variance; the best
    a_i leaves
    Formula: I_i σ² (1 − C_i), so that −dL/dC_i = I_i σ² whatever C is: returns never diminish.
    Raises: DataError when a capacity is not a share of a dimension.
    """
    if not bool(((capacities >= -1e-9) & (capacities <= 1 + 1e-9)).all()):
        worst = capacities.flatten()[(capacities - 0.5).abs().argmax()]
        raise DataError(f"a capacity is a share of a dimension, from 0 to 1, got {float(worst):g}")
    return importance * variance * (1 - capacities)


def linear_optimum(
    importance: Float[torch.Tensor, "*run f"],
    variance: Float[torch.Tensor, "*run f"] | float,
    width: int,
) -> tuple[Float[torch.Tensor, "*run"], Float[torch.Tensor, "*run f"]]:
    """The least loss of a linear model, summed over features, and the capacities that reach it.

    As returns do not diminish, the winners take all: a whole dimension each for the `width` largest
    I_i σ_i², none for the rest.
    Formula: L* = Σ over the rest of I_i σ_i². Ties go to the earlier feature.
    Raises: DataError when width is not from 1 to the number of features.
    """
    worth = importance * variance
    if not 1 <= width <= worth.shape[-1]:
        raise DataError(
            f"a width of {width} cannot be filled: it must be from 1 to the {worth.shape[-1]} "
            "features there are"
        )
    order = torch.argsort(worth, dim=-1, descending=True, stable=True)
    capacities = torch.zeros_like(worth).scatter_(-1, order[..., :width], 1.0)
    return (worth * (1 - capacities)).sum(-1), capacities


def _matrix(W: Array) -> torch.Tensor:
    """Weights as a tensor with at least one feature and one dimension."""
    W = as_tensor(W)
    if W.ndim < 2 or 0 in W.shape:
        raise DataError(
            "weights must be [.., feature, width], with at least one of each, got shape "
            f"{list(W.shape)}"
        )
    return W
