"""What happens to counts of features when weights are multiplied by a number, and where a loss
along such multiples is least.

Rows of W are features here, W [.., f, d], and its columns the d neurons, as everywhere in Assay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from assay.core.arrays import Array, as_tensor
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay_catalogue.worlds.bottleneck.sparse_law import sparse_law


def features_per_dimension(W: Float[Array, "*run f d"]) -> Float[torch.Tensor, "*run"]:
    """Features per dimension by the size of the weights: their summed squares over the number of
    neurons.

    Formula: ‖W‖²_F / d. Range: from 0; c² times as much when W is multiplied by c.
    Source: Elhage et al. 2022, Toy Models of Superposition, "The Geometry of Superposition".
    Differs: they draw its inverse, dimensions per feature.
    """
    W = as_tensor(W)
    return W.square().sum((-2, -1)) / W.shape[-1]


def features_by_dimensionality(
    D: Float[Array, "*run f"], width: int
) -> Float[torch.Tensor, "*run"]:
    """Features per dimension as told by their dimensionalities: the number of equal shares that are
    as uneven as these.

    Formula: (Σ D_i)² / Σ D_i² / d, so that k features with a k-th of the dimensions each count as
    k. As D itself it stays when W is multiplied by a number. Range: from 1/d to f/d, 0 where all D
    are 0.
    Raises: DataError when width is below 1.
    """
    if width < 1:
        raise DataError(f"features per dimension need a width of at least 1, got {width}")
    D = as_tensor(D)
    square = D.square().sum(-1)
    return D.sum(-1).square() / square.where(square > 0, square.new_ones(())) / width


def tied_losses(
    W: Float[torch.Tensor, "run f d"],
    b: Float[torch.Tensor, "run f"],
    importance: Float[torch.Tensor, "run f"],
    density: Float[torch.Tensor, " run"],
    scales: Sequence[float],
    power: int = 0,
) -> Float[torch.Tensor, "run scale"]:
    """Expected loss of tied autoencoders x' = ReLU(c² W Wᵀ x + c^power b) at every scale c, squared
    input, on sparse features.

    Formula: (1/f) Σ_i I_i E (x_i − x'_i)², over the law of `sparse_law`, without noise. With power
    2 outputs are times c²."""
    law = sparse_law(W.shape[1]).to(W.device)
    weights, A = law.weights(density), W @ W.mT
    return torch.stack(
        [(importance * law.errors(c * c * A, c**power * b, weights)).mean(-1) for c in scales], -1
    )


def least_at(
    scales: Float[np.ndarray, " scale"], losses: Float[np.ndarray, "*runs scale"]
) -> Float[np.ndarray, "*runs"]:
    """The factor at which a loss is least: the vertex of the parabola, in ln c, through the lowest
    point and its neighbours.

    Raises: DataError when scales are fewer than three or do not rise from above 0. A lowest point
    at an end is that end."""
    scales = np.asarray(scales, dtype=np.float64)
    if len(scales) < 3 or scales[0] <= 0 or (np.diff(scales) <= 0).any():
        raise DataError(f"scales are at least three rising factors above 0, got {scales.tolist()}")
    values, x = np.asarray(losses, dtype=np.float64), np.log(scales)
    low = values.argmin(-1)
    mid = np.clip(low, 1, len(scales) - 2)
    y0, y1, y2 = (np.take_along_axis(values, (mid + k)[..., None], -1)[..., 0] for k in (-1, 0, 1))
    x0, x1, x2 = x[mid - 1], x[mid], x[mid + 1]
    # Newton's divided differences, since the three points need not be evenly spread: the parabola's
    # slope is 0 at the vertex.
    rise, fall = (y2 - y1) / (x2 - x1), (y1 - y0) / (x1 - x0)
    bend = (rise - fall) / (x2 - x0)
    with np.errstate(all="ignore"):
        vertex = (x0 + x1) / 2 - fall / (2 * bend)
    return np.exp(np.where((low == mid) & (bend > 0), vertex, x[low]))
