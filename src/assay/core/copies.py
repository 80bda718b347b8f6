"""Copies: units of a table that have all their numbers from other units, which are no further
units, and controls that have those of the baseline or, on another scale, of an arm that the claim
names, which rule nothing out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass



def is_coarse(x: np.ndarray) -> bool:
    """Whether numbers have three digits at most, or are shares of up to 200, four digits of them
    at least."""
    parts = np.array([*range(1, 201), 1000])[:, None]
    counts = parts * x / 10.0 ** np.ceil(np.log10(np.abs(x).max()))
    return bool((np.abs(counts - np.round(counts)) <= np.minimum(6e-5 * parts, 0.012)).all(1).any())
