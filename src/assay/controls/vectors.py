"""Vectors that replace another one in controls. Each function takes NumPy arrays or torch tensors,
and returns the same kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.core.arrays import Array, is_tensor
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.train import rng

SAME = 1e-5
"""A difference below this share of the compared vectors is due to rounding."""


def sign_of(seed: int) -> int:
    """Give the sign of a random direction: 1 for even seeds, otherwise −1."""
    return -1 if seed % 2 else 1


def norm(x: Array) -> float:
    """Measure the length of a vector."""
    return float(x.norm() if is_tensor(x) else np.linalg.norm(x))


def norms(x: Array) -> Array:
    """Measure the length of each row."""
    return x.norm(dim=1) if is_tensor(x) else np.linalg.norm(x, axis=1)


def _like(x: Array, other: Array) -> Array:
    """An array with the type, precision and device of another one."""
    if is_tensor(other):
        return (x if is_tensor(x) else torch.from_numpy(np.asarray(x))).to(other)
    return np.asarray(x.detach().cpu() if is_tensor(x) else x, dtype=other.dtype)


def random_like(direction: Array, around: Array, seed: int) -> Array:
    """Draw a direction of the same length, orthogonal to it, from the dimensions that activations
    fill: with their covariance, each activation scaled to length 1, so that a few huge ones do not
    dominate.

    Most dimensions of a residual stream hardly matter to the model, so a direction drawn from all
    of them equally would be beaten by nearly anything. Seeds come in pairs: 2n + 1 has the
    opposite of 2n.

    Args:
        direction: the direction that is replaced, [d].
        around: activations, [n, d]; without spread, all dimensions count equally.
        seed: which draw.
    Formula: v = Σ g_i (x_i − x̄) / ‖x_i − x̄‖ with normal g_i, less its share of the direction
    """
    sample = _where_there_is(around, direction, seed - seed % 2, 0)
    return sign_of(seed) * as_long_as(aside(sample, direction), direction)


def random_basis(around: torch.Tensor, rank: int, seed: int) -> torch.Tensor:
    """Draw an orthonormal basis [rank, d] of a random subspace of the dimensions that activations
    fill, as `random_like` draws a direction. Signs do not matter here, so each seed has its own."""
    return basis(random_rows(around, rank, seed))


def random_rows(around: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Draw vectors of length 1 from the dimensions that activations fill."""
    rows = torch.stack([_where_there_is(around, around[0], seed, k) for k in range(count)])
    return rows / rows.norm(dim=1, keepdim=True)


def basis(rows: torch.Tensor) -> torch.Tensor:
    """Give an orthonormal basis of the span of rows."""
    orthonormal: torch.Tensor = torch.linalg.qr(rows.T).Q.T
    return orthonormal


def _where_there_is(around: Array, like: Array, seed: int, draw: int) -> Array:
    """Draw a vector from the dimensions that activations fill, each scaled to length 1."""
    x = around - around.mean(0) if len(around) else around
    if len(x):
        lengths = norms(x)
        x = x[lengths > SAME * float(lengths.mean())]
        x = x / norms(x)[:, None]
    if len(x) < 2:  # no spread
        x = _like(np.eye(len(like), dtype=np.float32), like)
    weights = rng.normal(np.array([seed]), "ask.random", draw, (len(x),))[0]
    return _like(weights, like) @ _like(x, like)


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
    weights = _like(draws, basis64)
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
    sample = _like(draws, subspace) @ unit
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


def aside(direction: Array, other: Array) -> Array:
    """Remove from a direction its component along another. Raises: DataError if nothing remains."""
    unit = other / norm(other) if not is_tensor(other) else other / other.norm()
    remainder = direction - (direction @ unit) * unit
    if norm(remainder) <= SAME * norm(direction):
        raise DataError("a control's direction is that of the intervention; name other controls")
    return remainder


def as_long_as(direction: Array, other: Array) -> Array:
    """Scale a direction to the length of another. Raises: DataError if its length is 0."""
    if not norm(direction) > 0:
        raise DataError("a control's direction has length 0; give it more examples")
    if is_tensor(direction):
        return direction * (other.norm() / direction.norm())
    return direction * np.asarray(norm(other) / norm(direction), dtype=direction.dtype)


def difference(first: Array, second: Array) -> Array:
    """Subtract the mean of the second rows from that of the first."""
    return first.mean(0) - second.mean(0)


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


def swaps(counts: Sequence[int], seed: int) -> list[tuple[list[int], list[int]]]:
    """Draw for each label, given its number of rows, the half that gets the other label, and the
    half that keeps its own. Seeds 2n and 2n + 1 share a draw."""
    halves = []
    for k, count in enumerate(counts):
        order = rng.permutation(np.array([seed - seed % 2]), "ask.shuffled", k, count)[0].tolist()
        halves.append((order[: count // 2], order[count // 2 :]))
    return halves


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


def shuffled_difference(first: Array, second: Array, seed: int) -> Array:
    """Learn a difference of means from uninformative labels: half of the rows of each label get the
    other one, so that what separates the labels cancels, also if a label has an odd number of rows.
    The sign of what remains is arbitrary: the second seed of a pair has the opposite direction."""
    halves = [
        (x[swapped].mean(0) - x[unchanged].mean(0)) / 2
        for x, (swapped, unchanged) in zip(
            (first, second), swaps((len(first), len(second)), seed), strict=True
        )
    ]
    return sign_of(seed) * (halves[0] + halves[1])
