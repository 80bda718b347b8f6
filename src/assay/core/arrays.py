"""Numbers from outside: NumPy arrays, torch tensors and lists of numbers are all taken, or refused
in one line. Torch is not imported for it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from assay.core.errors import DataError
from assay.core.heavy import torch

Array = Any
"""A NumPy array, a torch tensor, or lists of numbers."""


def is_tensor(value: object) -> bool:
    """Tell whether this is a torch tensor; there can be none before torch was imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def as_numpy(value: Array) -> np.ndarray:
    """Convert to a NumPy array in the array's own precision. Raises: DataError for what are no
    numbers in rows of one length."""
    if is_tensor(value):
        tensor: Any = value.detach().cpu()  # type: ignore[attr-defined]
        if "bfloat16" in str(tensor.dtype):  # which NumPy does not have
            tensor = tensor.float()
        return tensor.numpy()  # type: ignore[no-any-return]
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise DataError(
            "numbers are needed, in rows of one length: a NumPy array, a torch tensor or "
            f"lists; the {type(value).__name__} given is not"
        )
    return array


def as_tensor(value: Array, like: torch.Tensor | None = None) -> torch.Tensor:
    """Convert to a torch tensor of real numbers, on the device of `like`; a tensor is left as it
    is. Raises: DataError as `as_numpy`."""
    if is_tensor(value):
        return value  # type: ignore[no-any-return]
    array = as_numpy(value)
    real = array if array.dtype.kind == "f" else array.astype(np.float64)
    return torch.from_numpy(np.require(real, requirements=["C", "W"])).to(
        "cpu" if like is None else like.device
    )


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
