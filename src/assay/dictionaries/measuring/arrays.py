"""Arrays of either kind: what measures do alike to NumPy arrays and to torch tensors. Torch is not imported for it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""


def is_tensor(value: object) -> bool:
    """Tell whether this is a torch tensor; there can be none before torch was imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def float64(value: Array) -> Array:
    """Convert to float64, a tensor without its gradient."""
    return value.detach().double() if is_tensor(value) else np.asarray(value, dtype=np.float64)


def as_numpy(value: Array) -> np.ndarray:
    """Convert to a NumPy array in the array's own precision."""
    return value.detach().cpu().numpy() if is_tensor(value) else np.asarray(value)


def ratio_or_nan(a: Array, b: Array) -> Array:
    """Divide a by b where b > 0, else give NaN: a measure with nothing to divide by is undefined, not 0."""
    if is_tensor(b):
        return (a / b).where(b > 0, float("nan"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b > 0, np.divide(a, b), np.nan)[()]
