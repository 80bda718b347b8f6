"""What a linear map can read from activations: ridge regression that is judged on whole groups of
rows it never saw.

The strength of the penalty is chosen inside each training part, by folds of the same kind.

Kernel regression on raw tokens: what can be told from a sequence itself, with every interaction
of its tokens and no network.

It is the rival of a probe on a network's activations. Strength and memory of the kernel are chosen
on the training rows, by folds of the same kind as those that judge."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.features.linear_probe import INNER, folds, kernel_ridge

STRENGTHS = tuple(10.0**e for e in range(-6, 1))
"""Penalties among which every fit chooses, in shares of the mean diagonal entry of its Gram
matrix."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How much of another method's predictions a fit may take over."""


def out_of_fold(
    x: Float[torch.Tensor, "run row d"],
    y: Float[torch.Tensor, "row y"],
    group: Int[np.ndarray, " row"],
    k: int,
    *,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
    baseline: tuple[Float[torch.Tensor, "row y"], Float[torch.Tensor, "fold row y"]] | None = None,
) -> Float[torch.Tensor, "run row y"]:
    """Each row's y as predicted by an affine ridge fitted on the folds in which its group is not,
    for each run by itself.

    Columns are standardised by their training rows; one that does not vary there is not used. With
    `baseline`, another method's predictions in the same folds (`OutOfFold`), a share of
    them is taken over, and the ridge is fitted to what it leaves.

    Formula: w = argmin Σ ‖y − x w − c‖² + r · tr(G)/d · ‖w‖², G = xᵀx of the centred training rows,
    r with the least squared error on `INNER` folds of the training rows
    """
    x, y = (
        x.double() - x.double().mean(1, keepdim=True),
        y.double(),
    )  # no fit changes, and sums of squares lose no digits
    grid = y.new_tensor(strengths)
    shares = y.new_tensor((0.0,) if baseline is None else SHARES)
    outer = folds(group, k, seed)
    out = y.new_zeros(len(x), *y.shape)
    for fold in range(k):
        train, held = (
            torch.from_numpy(np.flatnonzero(part)) for part in (outer != fold, outer == fold)
        )
        x_train, y_train = x[:, train], y[train]
        other, other_held = (
            (0 * y_train, 0 * y[held])
            if baseline is None
            else (baseline[1][fold, train], baseline[0][held])
        )
        both = torch.cat(
            [y_train, other], -1
        )  # a fit is linear in what it is fitted to, so one serves all shares
        inner = folds(np.asarray(group)[train], INNER, seed)
        error = y.new_zeros(len(x), len(grid), len(shares))
        for inner_fold in range(INNER):
            rest, judged = (
                torch.from_numpy(np.flatnonzero(part))
                for part in (inner != inner_fold, inner == inner_fold)
            )
            fit = _ridge(x_train[:, rest], both[rest], grid.expand(len(x), -1))
            tried = _mixed(_apply(fit, x_train[:, judged]), other[judged], shares[None])
            error += (tried - y_train[judged]).square().sum((3, 4))
        best = error.flatten(1).argmin(1)
        strength, share = grid[best // len(shares)][:, None], shares[best % len(shares)][:, None]
        out[:, held] = _mixed(
            _apply(_ridge(x_train, both, strength), x[:, held]), other_held, share
        )[:, 0, 0]
    return out


def _mixed(
    fitted: Float[torch.Tensor, "run s row y2"],
    other: Float[torch.Tensor, "row y"],
    shares: Float[torch.Tensor, "run a"],
) -> Float[torch.Tensor, "run s a row y"]:
    """A share of another method's predictions, and the fit to what that share leaves over."""
    of_target, of_other = fitted[:, :, None].chunk(2, -1)
    return of_target + shares[:, None, :, None, None] * (other - of_other)


def distance_r2(
    a: Float[np.ndarray, "*b n p"], b: Float[np.ndarray, "n q"]
) -> Float[np.ndarray, "*b"]:
    """How far distances between points agree in two descriptions of them.

    Formula: squared correlation of ‖a_i − a_j‖ and ‖b_i − b_j‖ over all pairs i < j
    Range: 0 to 1; NaN where one has all points equally far from each other but for rounding
    Better: higher
    """
    i, j = np.triu_indices(len(b), 1)
    left_distances, right = (
        np.linalg.norm(p[..., i, :] - p[..., j, :], axis=-1) for p in (np.asarray(a), np.asarray(b))
    )
    size = [
        np.where(np.ptp(d, axis=-1) > 1e-12 * d.max(-1), d.var(-1), np.nan)
        for d in (left_distances, right)
    ]
    left_distances, right = (
        left_distances - left_distances.mean(-1, keepdims=True),
        right - right.mean(),
    )
    return (left_distances @ right / left_distances.shape[-1]) ** 2 / (size[0] * size[1])


def centroids(
    x: Float[torch.Tensor, "run row y"], group: Int[np.ndarray, " row"]
) -> Float[np.ndarray, "run group y"]:
    """The mean row of each group."""
    names, index = np.unique(group, return_inverse=True)
    place = torch.from_numpy(np.eye(len(names))[index.ravel()]).to(x.device)
    return (place.T / place.sum(0)[:, None] @ x.double()).cpu().numpy()


Fit: TypeAlias = "tuple[torch.Tensor, torch.Tensor]"
"""Weights [run, strength, d, y] and constants [run, strength, 1, y]."""


def _ridge(
    x: Float[torch.Tensor, "run row d"],
    y: Float[torch.Tensor, "row y"],
    strengths: Float[torch.Tensor, "run s"],
) -> Fit:
    """One fit for each run and strength; all NaN for a run that is not finite."""
    mean, middle = x.mean(1, keepdim=True), y.mean(0)
    scale = (x - mean).square().mean(1, keepdim=True).sqrt()
    scale = torch.where(scale > 1e-9 * scale.amax(-1, keepdim=True), scale, torch.inf)
    z = (x - mean) / scale
    gram = z.mT @ z
    penalty = strengths * gram.diagonal(dim1=-2, dim2=-1).mean(-1, keepdim=True)  # r · tr(G)/d
    system = gram[:, None].repeat(1, strengths.shape[1], 1, 1)
    system.diagonal(dim1=-2, dim2=-1).add_(penalty.clamp_min(1e-12)[..., None])
    factor = torch.linalg.cholesky_ex(system)[0]
    w = torch.cholesky_solve(
        (z.mT @ (y - middle))[:, None].expand(-1, strengths.shape[1], -1, -1), factor
    )
    w = w / scale.mT[:, None]
    return w, middle - mean[:, None] @ w


def _apply(fit: Fit, x: Float[torch.Tensor, "run row d"]) -> Float[torch.Tensor, "run s row y"]:
    w, c = fit
    return x[:, None] @ w + c


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
    group: Int[np.ndarray, " row"],
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
        predicted[held] = kernel_ridge(kernels[kernel], RIDGES[r : r + 1], y, train, held)[0]
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
    kernel: torch.Tensor, y: torch.Tensor, rows: Int[np.ndarray, " n"], fold: Int[np.ndarray, " n"]
) -> Float[torch.Tensor, "r n y"]:
    """These rows with each penalty, each row as predicted from the others that are not in its
    fold."""
    out = y.new_zeros(len(RIDGES), len(rows), y.shape[1])
    for inner_fold in range(INNER):
        out[:, torch.from_numpy(fold == inner_fold)] = kernel_ridge(
            kernel, RIDGES, y, rows[fold != inner_fold], rows[fold == inner_fold]
        )
    return out
