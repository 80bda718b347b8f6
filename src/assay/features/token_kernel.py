"""Kernel regression on raw tokens: what can be told from a sequence itself, with every interaction
of its tokens and no network.

It is the rival of a probe on a network's activations. Strength and memory of the kernel are chosen
on the training rows, by folds of the same kind as those that judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.features.linear_probe import INNER, folds

INTERACTIONS = (0.6, 0.9, 0.97)
"""How much the latest token interacts with the others: near 0 places add up, near 1 whole sequences
are compared."""
MEMORIES = (1.0, 0.85)
"""What an interaction is worth one place further back, as a share."""
RIDGES = (1e-4, 1e-2)
"""Penalties, in shares of the mean diagonal entry of the kernel."""


class OutOfFold(NamedTuple):
    """Predictions of rows that a fit never saw, and those that it made within its training rows."""

    predicted: Float[torch.Tensor, "row y"]
    """Each row as predicted from the folds in which its group is not."""
    within: Float[torch.Tensor, "fold row y"]
    """For each fold, its training rows as predicted out of the inner folds; 0 on the rows that are
    held out."""


def token_kernel(
    last: Int[np.ndarray, "row place"], vocab: int, interaction: float, memory: float
) -> Float[torch.Tensor, "row row"]:
    """The product kernel of sequences that end alike: it holds all products of tokens at several
    places, the later the heavier.

    `last` holds the latest token first, −1 before the start, where a place says nothing.

    Formula: K(a, b) = Π_p 1 + c mᵖ s(a_p, b_p), s = 1 for equal tokens, −1/(vocab − 1) for others,
    0 before either's start

    Raises: DataError unless interaction and memory are above 0 and at most 1, and there are two
    tokens or more."""
    if not (0 < interaction <= 1 and 0 < memory <= 1 and vocab > 1):
        got = f"interaction={interaction}, memory={memory}, vocab={vocab}"
        raise DataError(
            "a token kernel needs 0 < interaction ≤ 1, 0 < memory ≤ 1 and two tokens or "
            f"more, got {got}"
        )
    out = np.ones((len(last), len(last)))
    for place, token in enumerate(last.T):
        similarity = np.where(token[:, None] == token, 1.0, -1 / (vocab - 1))
        out *= 1 + interaction * memory**place * np.where(
            (token[:, None] < 0) | (token < 0), 0.0, similarity
        )
    return torch.from_numpy(out)


def kernel_out_of_fold(
    last: Int[np.ndarray, "row place"],
    vocab: int,
    y: Float[torch.Tensor, "row y"],
    group: Int[np.ndarray, "row"],
    k: int,
    *,
    seed: int = 0,
) -> OutOfFold:
    """Each row's y by kernel ridge regression on its tokens, fitted on the folds in which its group
    is not.

    Formula: ŷ(a) = ȳ + Σ_b K(a, b) α_b, α = (K + r tr(K)/n)⁻¹ (y − ȳ); interaction, memory and r
    with the least squared error on `INNER` folds of the training rows
    """
    y = y.double()
    kernels = _kernels(last.tobytes(), last.shape, str(last.dtype), vocab)
    outer = folds(group, k, seed)
    predicted, within = torch.zeros_like(y), y.new_zeros(k, *y.shape)
    for fold in range(k):
        train, held = np.flatnonzero(outer != fold), np.flatnonzero(outer == fold)
        inner = folds(np.asarray(group)[train], INNER, seed)
        tried = torch.cat([_across(kernel, y, train, inner) for kernel in kernels])
        best = int((tried - y[train]).square().sum((1, 2)).argmin())
        within[fold, train] = tried[best]
        kernel, r = divmod(best, len(RIDGES))
        predicted[held] = _fitted(kernels[kernel], RIDGES[r : r + 1], y, train, held)[0]
    return OutOfFold(predicted, within)


@lru_cache(maxsize=2)
def _kernels(
    last: bytes, shape: tuple[int, int], dtype: str, vocab: int
) -> tuple[torch.Tensor, ...]:
    """The kernel of every interaction and memory, in the order of both; made once for all draws of
    folds."""
    tokens = np.frombuffer(last, dtype).reshape(shape)
    return tuple(token_kernel(tokens, vocab, c, m) for c in INTERACTIONS for m in MEMORIES)


def _across(
    kernel: torch.Tensor, y: torch.Tensor, rows: Int[np.ndarray, "n"], fold: Int[np.ndarray, "n"]
) -> Float[torch.Tensor, "r n y"]:
    """These rows with each penalty, each row as predicted from the others that are not in its
    fold."""
    out = y.new_zeros(len(RIDGES), len(rows), y.shape[1])
    for inner_fold in range(INNER):
        out[:, torch.from_numpy(fold == inner_fold)] = _fitted(
            kernel, RIDGES, y, rows[fold != inner_fold], rows[fold == inner_fold]
        )
    return out


def _fitted(
    kernel: torch.Tensor,
    ridges: Sequence[float],
    y: torch.Tensor,
    train: Int[np.ndarray, "n"],
    held: Int[np.ndarray, "m"],
) -> Float[torch.Tensor, "r m y"]:
    """The held rows as predicted from the others, with each penalty."""
    train_rows, to = torch.from_numpy(train), torch.from_numpy(held)
    rows, mean = kernel.index_select(0, train_rows), y[train_rows].mean(0)  # a kernel is symmetric
    system, cross = rows.index_select(1, train_rows), rows.index_select(1, to)
    scale, predictions, off = float(system.diagonal().mean()), [], y[train_rows] - mean
    for before, r in zip((0.0, *ridges), ridges, strict=False):
        system.diagonal().add_((r - before) * scale)
        predictions.append(
            mean + cross.mT @ torch.cholesky_solve(off, torch.linalg.cholesky(system))
        )
    return torch.stack(predictions)
