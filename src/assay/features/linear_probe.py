"""Folds of whole groups of rows, and ridge regression by a kernel.

Rows that are alike must not be split between fitting and judging, so folds consist of whole groups:
prefixes, prefixes with one ending, prefixes with one answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.train import rng

INNER = 3
"""Folds within a training part, by which it chooses."""


def folds(group: Int[np.ndarray, " row"], k: int, seed: int = 0) -> Int[np.ndarray, " row"]:
    """The fold of every row, 0 … k − 1: groups dealt out in turn, the larger before the smaller,
    equal ones in an order drawn by seed.

    Raises: DataError when there are fewer groups than folds.
    """
    names, index, size = np.unique(group, return_inverse=True, return_counts=True)
    if not 2 <= k <= len(names):
        raise DataError(
            f"{k} folds of whole groups need at least as many groups, and at least 2 of both; "
            f"got {len(names)}"
        )
    place = np.empty(len(names), dtype=np.int64)
    order = rng.permutation(np.array([seed]), "linear-probe.folds", k, len(names))[0]
    place[order[np.argsort(-size[order], kind="stable")]] = np.arange(len(names)) % k
    return place[index.ravel()]


def stratified_folds(
    group: Int[np.ndarray, " row"], label: Int[np.ndarray, " row"], k: int, seed: int = 0
) -> Int[np.ndarray, " row"]:
    """Deal whole groups out to folds 0 … k − 1 as `folds` does, those whose usual label is 0 first,
    then those of 1 and so on, so that each fold has about as many groups of each label.

    Raises: DataError when there are fewer groups than folds.
    """
    names, index, size = np.unique(group, return_inverse=True, return_counts=True)
    folds(group, k)  # refuses too few groups
    usual = np.array([np.bincount(label[index == g]).argmax() for g in range(len(names))])
    order = rng.permutation(np.array([seed]), "linear-probe.folds", k, len(names))[0]
    order = order[np.lexsort((-size[order], usual[order]))]
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names)) % k
    return place[index.ravel()]


def correlations(
    x: Float[torch.Tensor, "row d"], y: Float[torch.Tensor, "row y"]
) -> Float[torch.Tensor, "d y"]:
    """How much each column correlates with each of y, without its sign; 0 if it does not vary."""
    a, b = (part - part.mean(0) for part in (x, y))
    size = a.norm(dim=0)[:, None] * b.norm(dim=0)
    return torch.where(size > 0, (a.mT @ b).abs() / size, 0.0)


def kernel_ridge(
    kernel: Float[torch.Tensor, "row row"],
    ridges: Sequence[float],
    y: Float[torch.Tensor, "row y"],
    train: Int[np.ndarray, " n"],
    held: Int[np.ndarray, " m"],
) -> Float[torch.Tensor, "r m y"]:
    """Predict the held rows from the training rows, with each penalty, the smallest first.

    Formula: ŷ(a) = ȳ + Σ_b K(a, b) α_b, α = (K + r tr(K)/n)⁻¹ (y − ȳ)"""
    train_rows, to = torch.from_numpy(train), torch.from_numpy(held)
    rows, mean = kernel.index_select(0, train_rows), y[train_rows].mean(0)  # a kernel is symmetric
    system, cross = rows.index_select(1, train_rows), rows.index_select(1, to)
    # where no row differs from another, any penalty gives the mean
    scale, predictions, off = float(system.diagonal().mean()) or 1.0, [], y[train_rows] - mean
    for last, r in zip((0.0, *ridges), ridges, strict=False):
        system.diagonal().add_((r - last) * scale)
        predictions.append(
            mean + cross.mT @ torch.cholesky_solve(off, torch.linalg.cholesky(system))
        )
    return torch.stack(predictions)
