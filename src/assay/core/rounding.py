"""Rounding: by how much a table's rounded numbers may have moved what is judged or estimated on
them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass


EQUAL = 1e-6
"""The share of the largest number by which single precision may move what is not changed."""


SHARES = 720_720
"""All shares of up to 16 rows are multiples of 1 by this."""


def are_unmoved(numbers: Iterable[Sequence[np.ndarray]]) -> bool:
    """Whether all numbers are after a change what they were before, up to single precision, and
    not because they are counts or shares of a few alone, which hide small changes. Each measure is
    (after, before, …), where what follows shows how large and how fine it is elsewhere."""
    is_fine = False
    for after, before, *others in numbers:
        known = np.concatenate([x[np.isfinite(x)] for x in (before, *others)])
        most = EQUAL * np.max(np.abs(known), initial=0.0)
        if not np.allclose(after, before, 0, most, equal_nan=True):
            return False
        parts = known * SHARES
        is_fine |= bool((np.abs(parts - np.round(parts)) > 1e-3).any())
    return is_fine
