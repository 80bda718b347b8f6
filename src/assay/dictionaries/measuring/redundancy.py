"""How redundant a decoder is: how near each row's nearest other row is, and over how many
dimensions the rows spread.

All pairs are compared a few rows at a time, so a dictionary of 65,000 features never makes a matrix
of 65,000 × 65,000. Cosines are signed: features are at least 0, so rows that point opposite ways do
different things."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from assay.core.arrays import Array
from assay.core.errors import DataError
from assay.core.heavy import torch

THRESHOLD = 0.9
"""Cosine above which two decoder rows count as the same direction; ours."""
_ENTRIES = 1 << 24
"""Cosines held at a time: 64 MB of float32."""


def nearest_cosine(W_dec: Float[Array, "*run f d"]) -> Float[Array, "*run f"]:
    """Largest cosine of each decoder row with another row; its distribution is what redundancy
    looks like.

    Formula: max over j ≠ i of d_i·d_j / (‖d_i‖‖d_j‖), in the decoder's own precision
    Range: −1 to 1; NaN for a row of length 0, and in a dictionary of one feature
    Better: lower, except where the data has such pairs
    """
    return _per_run(W_dec, _nearest)


def twinned(W_dec: Float[Array, "f d"], firings: Float[Array, " f"]) -> Bool[Array, " f"]:
    """Tell which features that are on at all have a decoder row within THRESHOLD of another such
    feature's.

    Formula: firings_i > 0 and max over j ≠ i with firings_j > 0 of cos(d_i, d_j) > THRESHOLD
    """
    on = firings > 0
    twins = on & False
    if on.any():
        twins[on] = nearest_cosine(W_dec[on]) > THRESHOLD
    return twins


def effective_dimensions(W_dec: Float[Array, "*run f d"]) -> Float[Array, "*run"]:
    """Number of dimensions of the activation space that a decoder's directions spread over evenly.

    Formula: (Σλ)² / Σλ² = f² / Σ_ij cos_ij², λ the eigenvalues of D̂ᵀD̂, D̂ the rows of length 1, f
    those that are not 0
    Range: 1 to min(f, d); NaN where all rows are 0
    Better: neither: a dictionary can be no more even than its data
    Source: the participation ratio of a spectrum, as in Gao et al., A theory of multineuronal
    dimensionality (2017)"""

    def count_dimensions(rows: Float[torch.Tensor, "f d"]) -> Float[torch.Tensor, "1"]:
        unit = _unit(rows.double()).nan_to_num()
        f = (unit != 0).any(1).sum()
        return (f**2 / (unit.mT @ unit).square().sum()).view(1)

    return _per_run(W_dec, count_dimensions)[..., 0]


def _unit(rows: Float[torch.Tensor, "f d"]) -> Float[torch.Tensor, "f d"]:
    """Rows of length 1; NaN where a row is 0."""
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)


def _nearest(rows: Float[torch.Tensor, "f d"]) -> Float[torch.Tensor, " f"]:
    """Largest cosine with another row; NaN for a row of 0."""
    unit = _unit(rows if rows.is_floating_point() else rows.double())
    unit = unit.float() if unit.dtype in (torch.float16, torch.bfloat16) else unit
    lacking = unit[:, 0].isnan()
    unit = unit.nan_to_num()
    largest = unit.new_full((len(unit),), torch.nan)
    step = max(1, _ENTRIES // max(1, len(unit)))
    for a in range(0, len(unit), step):
        cosine = unit[a : a + step] @ unit.mT
        cosine[:, lacking] = -torch.inf
        cosine.diagonal(a).fill_(-torch.inf)
        largest[a : a + step] = cosine.amax(1)
    return largest.clamp(-1, 1).masked_fill(lacking | largest.isinf(), torch.nan)


def _per_run(W_dec: Array, measure: Callable[[torch.Tensor], torch.Tensor]) -> Array:
    """`measure` of every run's rows, float64, of the kind that was given."""
    decoder = (
        W_dec.detach()
        if isinstance(W_dec, torch.Tensor)
        else torch.from_numpy(np.ascontiguousarray(W_dec))
    )
    if decoder.ndim < 2 or not decoder.shape[-2]:
        raise DataError(
            "a decoder must be [f, d] or [run, f, d] with at least one row, got "
            f"{list(decoder.shape)}"
        )
    flat = decoder.reshape(-1, *decoder.shape[-2:])
    values = torch.stack([measure(rows) for rows in flat]).double().reshape(*decoder.shape[:-2], -1)
    return values if isinstance(W_dec, torch.Tensor) else values.numpy()
