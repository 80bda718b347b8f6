"""Absorption: how much oftener the latent of a general feature is silent where a special case of it
is on.

A dictionary that writes "starts with S" into the latent of "snake" needs one latent fewer there,
and leaves a hole in the other. To see the hole one must know where the general feature is on: the
labels of a benchmark, or planted truth. A latent that misses at random has no hole, so what it
misses without the special case is taken off."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from assay.core.arrays import ratio_or_nan
from assay.core.errors import DataError

FEWEST = 5
"""Rows of each kind below which nothing is said of a feature."""


def absorbed(
    general: Bool[np.ndarray, "b n"],
    special: Bool[np.ndarray, "b n"],
    fires: Bool[np.ndarray, "b n"],
    fewest: int = FEWEST,
) -> Float[np.ndarray, " n"]:
    """For each general feature how much more its latent misses where a special case of the feature
    is on, in share of rows.

    `fires` is the latent that stands for the feature, such as the best one of other rows; `special`
    counts only where `general` is true.

    Formula: P(silent | general and special) − P(silent | general, not special)
    Range: −1 to 1; about 0 for a latent that misses at random; NaN where either kind has fewer than
    `fewest` rows
    Better: lower
    Source: A is for Absorption (2024), where the latents that take over are looked for as well;
    here the hole alone counts"""
    if not general.shape == special.shape == fires.shape:
        raise DataError(
            f"the three must have one shape [b, n], got {general.shape}, {special.shape} and "
            f"{fires.shape}"
        )
    silent, both, general_only = ~fires, general & special, general & ~special
    shares = [
        ratio_or_nan((silent & rows).sum(0).astype(np.float64), rows.sum(0).astype(np.float64))
        for rows in (both, general_only)
    ]
    enough = (both.sum(0) >= fewest) & (general_only.sum(0) >= fewest)
    return np.where(enough, shares[0] - shares[1], np.nan)
