"""Batches: the rows that one dictionary is trained on, centred and scaled, whether they lie in
memory, on disk, or are given one batch after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core.arrays import Array
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.train.rng import permutation

CHUNK = 2**13
"""Rows that are read at a time where all are read."""
TRIED = 32
"""The first batches, of which mean and scale are taken where not all rows are at hand."""


@dataclass(frozen=True)
class Batches:
    """Raw rows of each step, and how they are normalised: E‖x‖² = d after it."""

    mean: Float[torch.Tensor, " d"]
    scale: float
    raw: Callable[[int], Float[torch.Tensor, "b d"]]
    again: bool = True
    """Whether a batch can be drawn again, as a resumed training has to."""

    def __call__(self, step: int) -> Float[torch.Tensor, "b d"]:
        return (self.raw(step) - self.mean) * self.scale


def batches(acts: Any, batch: int, seed: int, steps: int) -> Batches:
    """Batches of an array, of one that is mapped from disk, of a function of the step, or of what
    gives one batch after the other. Raises: DataError."""
    if isinstance(acts, np.memmap):
        if acts.ndim != 2 or len(acts) < 2 or acts.dtype.kind != "f":
            raise DataError(
                f"activations must be floats [n, d], got {acts.dtype} {list(acts.shape)}"
            )
        draw = shuffled(len(acts), batch, seed)
        return Batches(
            *moments(acts), lambda step: torch.from_numpy(numbers(acts[draw(step).numpy()]))
        )
    if callable(acts):
        return _by_step(lambda step: _matrix(acts(step)), steps)
    if isinstance(acts, Iterable) and not isinstance(acts, list | tuple) and not _is_array(acts):
        return _one_after_the_other(acts, steps)
    rows = _matrix(acts)
    draw = shuffled(len(rows), batch, seed)
    return Batches(*_moments(rows), lambda step: rows[draw(step)])


def _is_array(acts: Any) -> bool:
    return hasattr(acts, "__array__") or hasattr(acts, "shape")


def _by_step(draw: Callable[[int], Float[torch.Tensor, "b d"]], steps: int) -> Batches:
    first = torch.cat([draw(step) for step in range(min(TRIED, steps))])
    return Batches(*_moments(first), draw)


def _one_after_the_other(acts: Iterable[Any], steps: int) -> Batches:
    """Batches of an iterable, which begins anew when it is through, if it can."""
    count = 0

    def endless() -> Iterator[Float[torch.Tensor, "b d"]]:
        nonlocal count
        last = -1
        while last < count:
            last = count
            for rows in acts:
                count += 1
                yield _matrix(rows)

    source = endless()
    first = [rows for rows, _ in zip(source, range(min(TRIED, steps)), strict=False)]
    if not first:
        raise DataError("no batch came; give an array, a function of the step, or batches [b, d]")
    queue = chain(first, source)

    def draw(step: int) -> Float[torch.Tensor, "b d"]:
        if (rows := next(queue, None)) is None:
            raise DataError(
                f"the batches ended after {count:,}, and {steps:,} steps were requested; lower "
                "steps, or give what can be gone through again, such as a DataLoader"
            )
        return rows

    return Batches(*_moments(torch.cat(first)), draw, again=False)


def _matrix(acts: Array) -> Float[torch.Tensor, "n d"]:
    """Activations as float32 on the CPU. Raises: DataError for what is no matrix of finite
    numbers."""
    try:
        if acts.is_complex() if isinstance(acts, torch.Tensor) else np.iscomplexobj(acts):
            raise TypeError("complex numbers")
        with np.errstate(
            over="ignore"
        ):  # what is too large becomes infinite, which is refused below
            rows = (
                acts.detach().to("cpu", torch.float32)
                if isinstance(acts, torch.Tensor)
                # Copied only where it has to be: torch shares an array's memory, and warns of one
                # that may not be written to.
                else torch.from_numpy(np.require(acts, np.float32, ["C", "W"]))
            )
        finite = bool(rows.isfinite().all())
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            "activations must be real numbers in rows of one length [n, d]; the "
            f"{type(acts).__name__} given is not"
        ) from error
    if rows.ndim != 2 or len(rows) < 2 or not rows.shape[1]:
        more = (
            "; join the axes before the last: acts.reshape(-1, acts.shape[-1])"
            if rows.ndim > 2
            else ""
        )
        raise DataError(
            f"activations must be [n, d] with at least two rows, got {list(rows.shape)}{more}"
        )
    if not finite:
        raise DataError("activations must be finite float32 numbers; some are NaN or infinite")
    return rows


def _moments(rows: Float[torch.Tensor, "n d"]) -> tuple[Float[torch.Tensor, " d"], float]:
    """Mean, and the factor that makes E‖x − mean‖² = d."""
    # Sums over many rows in float64: far from 0, a float32 sum loses what the variance is made of.
    mean = rows.mean(0, dtype=torch.float64)
    variance = float((rows - mean.float()).square().sum(1, dtype=torch.float64).mean())
    if not variance > 0:
        raise DataError(
            "the activations are all the same row, so there is nothing to learn from them"
        )
    return mean.float(), (rows.shape[1] / variance) ** 0.5


def moments(rows: Float[np.ndarray, "n d"]) -> tuple[Float[torch.Tensor, " d"], float]:
    """Mean, and the factor that makes E‖x − mean‖² = d, read a few rows at a time. Raises:
    DataError."""
    pieces = range(0, len(rows), CHUNK)
    total = sum(
        (numbers(rows[i : i + CHUNK]).sum(0, dtype=np.float64) for i in pieces),
        np.zeros(rows.shape[1]),
    )
    mean = torch.from_numpy(total / len(rows)).float()
    if not bool(mean.isfinite().all()):
        raise DataError("activations must be finite float32 numbers; some are NaN or infinite")
    squares = sum(
        float(np.square(numbers(rows[i : i + CHUNK]) - mean.numpy()).sum(dtype=np.float64))
        for i in pieces
    )
    if not 0 < squares < np.inf:
        raise DataError(
            "the activations are all the same row, so there is nothing to learn, or they are "
            "too large for float32"
        )
    return mean, float((rows.shape[1] * len(rows) / squares) ** 0.5)


def numbers(rows: np.ndarray) -> Float[np.ndarray, "n d"]:
    """Rows as float32 in memory; what is too large becomes infinite."""
    with np.errstate(over="ignore"):
        return np.array(rows, np.float32)


def shuffled(n: int, batch: int, seed: int) -> Callable[[int], Int[torch.Tensor, " b"]]:
    """Which of n rows make the batch of a step: a new order each time they are through, less the
    few that fill no batch."""
    # Whole batches only, so that every step is a mean over as many rows.
    size = min(batch, n)
    batches_per_epoch = n // size
    order: dict[int, torch.Tensor] = {}

    def draw(step: int) -> Int[torch.Tensor, " b"]:
        epoch, place = divmod(step, batches_per_epoch)
        if epoch not in order:
            # Steps come in order, so only one order is needed; any of them can be drawn again after
            # a resume.
            order.clear()
            order[epoch] = torch.from_numpy(
                permutation(np.array([seed]), "train_dictionary.rows", epoch, n)[0]
            )
        return order[epoch][place * size : (place + 1) * size]

    return draw
