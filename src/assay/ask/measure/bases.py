"""Bases of subspaces, and random ones in the place of them, for studies; labels dealt out anew."""

from __future__ import annotations

import numpy as np

from assay.controls.vectors import SAME, filled, norms
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.train import rng


def random_basis(around: torch.Tensor, rank: int, seed: int) -> torch.Tensor:
    """Draw an orthonormal basis [rank, d] of a random subspace of the dimensions that activations
    fill, as `random_like` draws a direction. Signs do not matter here, so each seed has its own."""
    return basis(random_rows(around, rank, seed))


def random_rows(around: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Draw vectors of length 1 from the dimensions that activations fill."""
    rows = torch.stack([filled(around, around[0], seed, k) for k in range(count)])
    return rows / rows.norm(dim=1, keepdim=True)


def basis(rows: torch.Tensor) -> torch.Tensor:
    """Give an orthonormal basis of the span of rows."""
    orthonormal: torch.Tensor = torch.linalg.qr(rows.T).Q.T
    return orthonormal


def random_subspace(basis: torch.Tensor, around: torch.Tensor, seed: int) -> torch.Tensor:
    """Draw as many dimensions as a subspace has from those that activations fill, as in
    `random_like`: orthogonal to the subspace as far as possible, and the others within it.

    Args:
        basis: of the subspace, orthonormal rows, [k, d].
        around: activations, [n, d].
        seed: which draw.
    """
    basis64, count = basis.double(), len(basis)
    unit = around.double() / norms(around).double().clamp_min(1e-300)[:, None]
    draws = rng.normal(np.array([seed]), "ask.subspace", 0, (count, len(unit) + count))[0]
    weights = torch.from_numpy(draws).to(basis64)
    sample = weights[:, : len(unit)] @ unit
    _, lengths, others = torch.linalg.svd(
        sample - sample @ basis64.T @ basis64, full_matrices=False
    )
    others = others[lengths > SAME * sample.norm()]
    within = torch.linalg.qr((weights[:, len(unit) :] @ basis64).T)[0].T
    return torch.cat([others, within[: count - len(others)]]).to(basis)


def of_equal_variance(basis: torch.Tensor, around: torch.Tensor, seed: int) -> torch.Tensor:
    """Draw dimensions along which activations together have the same variance as along a subspace:
    as many as necessary, drawn as in `random_subspace`, orthogonal to the subspace and to each
    other; the last one is rotated until the sum is equal.

    Args:
        basis: of the subspace, orthonormal rows, [k, d].
        around: activations less their mean, [n, d].
        seed: which draw.
    Raises: DataError if all other dimensions together have less.
    """
    x, subspace = around.double(), basis.double()
    count = min(len(x) - 1, x.shape[1]) - len(subspace)
    unit = x / norms(x).clamp_min(1e-300)[:, None]
    draws = rng.normal(np.array([seed]), "ask.variance", 0, (count, len(unit)))[0]
    sample = torch.from_numpy(draws).to(subspace) @ unit
    rows = torch.linalg.qr((sample - sample @ subspace.T @ subspace).T).Q.T
    along = (x @ rows.T).square().sum(0)
    remaining = (x @ subspace.T).square().sum() - torch.cat([along.new_zeros(1), along.cumsum(0)])
    if float(remaining[-1]) > 0:
        raise DataError(
            f"{len(subspace)} of the dimensions have "
            f"{1 - float(along.sum() / x.square().sum()):.0%} of the variance, "
            "so that all others together have less"
        )
    last = int((remaining[1:] <= 0).nonzero()[0])
    small = last + int(along[last:].argmin())
    if along[small] >= remaining[last]:  # no dimension has so little variance
        return rows[: last + 1].to(basis)
    both = (x @ rows[last]) @ (x @ rows[small])
    over, under = along[last] - remaining[last], remaining[last] - along[small]
    turn = (both + (both.square() + over * under).sqrt()) / under  # the tangent of the angle
    turned = (rows[last] + turn * rows[small]) / (1 + turn.square()).sqrt()
    return torch.cat([rows[:last], turned[None]]).to(basis)


def covariance(x: torch.Tensor) -> torch.Tensor:
    """Estimate the covariance of rows, which may be fewer than the dimensions: that of the sample,
    shrunk towards equal variances.

    Source: Bodnar, Gupta and Parolya, On the strong convergence of the optimal linear shrinkage
    estimator for large dimensional covariance matrix, 2014
    """
    n, d = x.shape
    centred = x - x.mean(0)
    sample = centred.T @ centred / n
    trace, squares = sample.trace(), (sample**2).sum()
    weight = 1 - trace**2 / n / (squares - trace**2 / d).clamp_min(1e-300)
    weight = weight.clamp(0, 1)
    eye = torch.eye(d, dtype=x.dtype, device=x.device)
    return weight * sample + (1 - weight) * trace / d * eye


def dealt(label: np.ndarray, seed: int) -> np.ndarray:
    """Distribute the rows of each label, a number from 0, evenly over all labels, so that what
    separates the labels cancels except for left-over rows. Raises: DataError if a label has fewer
    rows than there are labels."""
    count, other = int(label.max()) + 1, label.copy()
    for k in range(count):
        rows = np.flatnonzero(label == k)
        if len(rows) < count:
            raise DataError(
                f"the control `shuffled` deals the rows of each label out among all {count} labels "
                f"and one label has {len(rows)} of the rows that a seed learns from; give each "
                f"label {3 * count} or more, or name other controls"
            )
        order = rng.permutation(np.array([seed]), "ask.dealt", k, len(rows))[0]
        other[rows[order]] = (np.arange(len(rows)) + k) % count
    return other
