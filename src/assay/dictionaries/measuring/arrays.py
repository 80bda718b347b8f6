"""Arrays in float64, and ratios that may be undefined: what measures do alike to NumPy arrays and
to torch tensors."""

from __future__ import annotations

import numpy as np

from assay.core.arrays import Array, as_numpy, is_tensor
from assay.core.heavy import torch

ROUNDING = 64
"""By so many units in its last place may the mean of many equal numbers be off."""


def float64(value: Array) -> Array:
    """Convert to float64, a tensor without its gradient, lists to NumPy. Raises: DataError as
    `as_numpy`."""
    return (
        value.detach().double()
        if is_tensor(value)
        else as_numpy(value).astype(np.float64, copy=False)
    )


def less(x: Array, middle: Array) -> Array:
    """Subtract `middle`, with 0 where only rounding would be left of a difference: numbers that do
    not vary have no variance at all.

    What counts as rounding depends on the precision of `middle`.
    """
    off = x - middle
    return off * (abs(off) > ROUNDING * _eps(middle) * abs(x))


def ratio_or_nan(a: Array, b: Array) -> Array:
    """Divide a by b where b > 0, else give NaN: a measure with nothing to divide by is undefined,
    not 0."""
    if is_tensor(b):
        return (a / b).where(b > 0, float("nan"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, np.divide(a, b), np.nan)[()]


def _eps(value: Array) -> float:
    if is_tensor(value):
        return torch.finfo(value.dtype).eps
    kind = np.asarray(value).dtype
    return float(np.finfo(kind if kind.kind == "f" else np.float64).eps)
