"""Vectors and subspaces in the place of others, as NumPy arrays or torch tensors: each function
gives what it was given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.errors import DataError
from assay.train import rng

Array = Any  # of NumPy or torch
SAME = 1e-5
"""A difference below this share of the compared vectors is due to rounding."""


def is_tensor(x: object) -> bool:
    """Whether this is a torch tensor; there is none before someone else imported torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.Tensor)


def cast(x: Array, like: Array) -> Array:
    """The same numbers with the type, precision and device of another array."""
    if is_tensor(like):
        return x.to(like) if is_tensor(x) else like.new_tensor(np.asarray(x))
    return as_numpy(x).astype(like.dtype)


def as_numpy(x: Array) -> np.ndarray:
    """The same numbers in NumPy, of a tensor in float64."""
    return np.asarray(x.detach().cpu().double() if is_tensor(x) else x)


def stacked(*parts: Array) -> Array:
    """Rows one after another."""
    return cast(np.concatenate([as_numpy(x) for x in parts]), parts[0])


def norm(x: Array) -> float:
    """The length of a vector."""
    return float(x.norm() if is_tensor(x) else np.linalg.norm(x))


def norms(x: Array) -> Array:
    """The length of each row."""
    return x.norm(dim=1) if is_tensor(x) else np.linalg.norm(x, axis=1)


def sign_of(seed: int) -> int:
    """1 for even seeds, -1 for odd ones."""
    return -1 if seed % 2 else 1


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
    Formula: v = Σ g_i (x_i - x̄) / ‖x_i - x̄‖ with normal g_i, less its share of the direction
    """
    sample = filled(around, direction, seed - seed % 2)
    return sign_of(seed) * as_long_as(aside(sample, direction), direction)


def filled(around: Array, like: Array, seed: int, index: int = 0) -> Array:
    """Draw a vector from the dimensions that activations fill, of any length."""
    x = units(around, like)
    weights = rng.normal(np.array([seed]), "ask.random", index, (len(x),))[0]
    return cast(weights, like) @ cast(x, like)


def units(around: Array, like: Array) -> Array:
    """Activations less their mean, each of length 1; all dimensions where there is no spread."""
    x = around - around.mean(0) if len(around) else around
    if len(x):
        lengths = norms(x)
        x = x[lengths > SAME * float(lengths.mean())]
        x = x / norms(x)[:, None]
    return x if len(x) >= 2 else cast(np.eye(like.shape[-1], dtype=np.float32), like)


def aside(direction: Array, other: Array) -> Array:
    """A direction without its component along another. Raises: DataError (same-direction)."""
    unit = other / norm(other) if not is_tensor(other) else other / other.norm()
    remainder = direction - (direction @ unit) * unit
    if norm(remainder) <= SAME * norm(direction):
        why = "a control's direction is that of the intervention; name other controls"
        raise DataError("same-direction", why)
    return remainder


def as_long_as(direction: Array, other: Array) -> Array:
    """A direction with the length of another. Raises: DataError for one of length 0 (no-length)."""
    if not norm(direction) > 0:
        raise DataError("no-length", "a control's direction has length 0; give it more examples")
    if is_tensor(direction):
        return direction * (other.norm() / direction.norm())
    return direction * np.asarray(norm(other) / norm(direction), dtype=direction.dtype)


def difference(first: Array, second: Array) -> Array:
    """The mean of the first rows less that of the second."""
    return first.mean(0) - second.mean(0)


def swaps(counts: Sequence[int], seed: int) -> list[tuple[list[int], list[int]]]:
    """Draw for each label, given its number of rows, the half that gets the other label, and the
    half that keeps its own. Seeds 2n and 2n + 1 share a draw."""
    halves = []
    for k, count in enumerate(counts):
        order = rng.permutation(np.array([seed - seed % 2]), "ask.shuffled", k, count)[0].tolist()
        halves.append((order[: count // 2], order[count // 2 :]))
    return halves


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


def random_subspace(basis: Array, around: Array, seed: int) -> Array:
    """Draw as many dimensions as a subspace has from those that activations fill, as `random_like`
    draws one: orthogonal to the subspace as far as there are such, and the others within it.

    Args:
        basis: of the subspace, orthonormal rows, [k, d].
    """
    b, unit = as_numpy(basis).astype(float), as_numpy(units(around, basis)).astype(float)
    shape = (len(b), len(unit) + len(b))
    weights = rng.normal(np.array([seed]), "ask.subspace", 0, shape)[0].astype(float)
    sample = weights[:, : len(unit)] @ unit
    _, lengths, others = np.linalg.svd(sample - sample @ b.T @ b, full_matrices=False)
    others = others[lengths > SAME * np.linalg.norm(sample)]
    within = np.linalg.qr((weights[:, len(unit) :] @ b).T).Q.T
    return cast(np.concatenate([others, within[: len(b) - len(others)]]), basis)
