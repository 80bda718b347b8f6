"""What one step of an optimiser is distributed like: covariances of minibatch, Gaussian,
evolutionary and ES steps in closed form.

A step is lr times a minibatch gradient, or a sum of accepted mutations, or an estimate from random
evaluations. The sampled gradient ĝ has mean G and covariance Σ/batch, where Σ is the covariance of
the examples' own gradients. Signs are those of
ascent: a step of descent has the same covariance.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from jaxtyping import Float

from assay.core.errors import SpecError

Matrix = Float[np.ndarray, "n n"]
Vector = Float[np.ndarray, " n"]


# --- the example: two coordinates that every example moves in lock-step ---------------------------


def lock_step(a: float, c: float, spread: float = 1.0, n: int = 3) -> Matrix:
    """Σ [n n] of examples whose gradients are (a g, c g, 0, …), g of mean 0 and standard deviation
    `spread`; rank 1, a gradient squared.

    Raises: SpecError for fewer than 3 coordinates: two for the pair, one for a true gradient.
    """
    if n < 3:
        raise SpecError(
            "the example needs at least 3 coordinates, two in lock-step and one along the "
            f"true gradient, got {n}"
        )
    direction = np.zeros(n)
    direction[:2] = a, c
    return spread**2 * np.outer(direction, direction)


# --- gradient steps -------------------------------------------------------------------------------


def sampling_factor(batch: int, examples: int | None = None) -> float:
    """Variance of a minibatch mean over that of one example.

    Formula: 1/B from a law or with replacement; (N − B)/((N − 1) B) for B different ones of N.
    Raises: SpecError for a batch larger than the data, or empty.
    """
    if batch < 1:
        raise SpecError(f"a batch has at least 1 example, got {batch}")
    if examples is None:
        return 1 / batch
    if batch > examples:
        raise SpecError(
            f"a batch drawn without replacement has at most the {examples} examples that "
            f"there are, got {batch}"
        )
    return (examples - batch) / (max(1, examples - 1) * batch)


def isotropic(covariance: Matrix, over: int) -> Matrix:
    """τ² I with the trace of `covariance` spread evenly over `over` coordinates: τ² = tr/over in
    each."""
    return float(np.trace(covariance)) / over * np.eye(len(covariance))


def diagonal(covariance: Matrix) -> Matrix:
    """The variances alone: what is left when coordinates are drawn independently."""
    return np.diag(np.diag(covariance))


def root(covariance: Matrix) -> Matrix:
    """The symmetric square root: standard normal rows times it have this covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


# --- evolution ------------------------------------------------------------------------------------


def hard_selection(gradient: Vector, size: float) -> tuple[Vector, Matrix]:
    """Mean and covariance of one step δ·1[G·δ > 0], δ normal with standard deviation `size` in each
    coordinate.

    Formula: along Ĝ mean s/√(2π) and variance s²(½ − 1/2π); at right angles 0 and s²/2.
    """
    unit = gradient / np.linalg.norm(gradient)
    mean = size / math.sqrt(2 * math.pi) * unit
    return mean, 0.5 * size**2 * np.eye(len(gradient)) - np.outer(mean, mean)


def hard_selection_on_examples(
    direction: Vector, size: float, held: int = 1
) -> tuple[Vector, Matrix]:
    """Mean and covariance of the sum of `held` mutations, each accepted where ĝ·δ > 0, all on one ĝ
    = z·direction, z symmetric about 0.

    Formula: mean 0; covariance K ½s² I + K(K − 1) s²/2π uuᵀ, u the unit vector along the direction,
    by the law of total covariance: given the sign of z a mutation has the mean ± s/√(2π) u. How
    large ĝ is plays no part."""
    if held < 1:
        raise SpecError(f"an environment is held for at least 1 mutation, got {held}")
    u = direction / np.linalg.norm(direction)
    shared = held * (held - 1) * size**2 / (2 * math.pi) * np.outer(u, u)
    return np.zeros_like(u), held * 0.5 * size**2 * np.eye(len(u)) + shared


def linear_selection(
    gradient: Vector, covariance: Matrix, size: float, sharpness: float, held: int = 1
) -> tuple[Vector, Matrix]:
    """Mean and covariance of the sum of `held` mutations, each accepted with probability ½ + ½β
    ĝ·δ, all on one sampled ĝ.

    Formula: mean K ½βs²G; covariance K (½s² I − ¼β²s⁴ M) + K² ¼β²s⁴ Σ, with Σ the covariance of ĝ
    and M = Σ + GGᵀ. With G = 0 in a pair of coordinates, K ½s² I + K(K − 1) ¼β²s⁴ Σ there: without
    any correlation at K = 1, whatever Σ."""
    if held < 1:
        raise SpecError(f"an environment is held for at least 1 mutation, got {held}")
    mean, quarter = 0.5 * sharpness * size**2 * gradient, 0.25 * sharpness**2 * size**4
    second = covariance + np.outer(gradient, gradient)
    return held * mean, held * (
        0.5 * size**2 * np.eye(len(gradient)) - quarter * second
    ) + held**2 * quarter * covariance


def evolution_strategy(
    gradient: Vector, covariance: Matrix, evaluations: int
) -> tuple[Vector, Matrix]:
    """Mean and covariance of (1/P) Σ_p (ĝ·ε_p) ε_p, P standard normal ε on one sampled ĝ: an
    evolution strategy's step at unit noise.

    Formula: mean G; covariance Σ + (M + tr M · I)/P, with Σ the covariance of ĝ and M = Σ + GGᵀ.
    """
    if evaluations < 1:
        raise SpecError(
            f"an evolution strategy makes at least 1 evaluation a step, got {evaluations}"
        )
    second = covariance + np.outer(gradient, gradient)
    return gradient, covariance + (second + np.trace(second) * np.eye(len(gradient))) / evaluations


def clipped(gradient: Vector, covariance: Matrix, size: float, sharpness: float) -> float:
    """Probability that ½ + ½β ĝ·δ is no probability, |β ĝ·δ| > 1, where `covariance` of ĝ has rank
    1. Range: 0 to 1. Better: low.

    Given ĝ = G + u z the argument is normal with standard deviation βs‖ĝ‖; z is integrated by Gauss
    and Hermite."""
    values, vectors = np.linalg.eigh(covariance)
    axis = math.sqrt(max(values[-1], 0.0)) * vectors[:, -1]
    nodes, weights = _quadrature()
    scale = sharpness * size * np.linalg.norm(gradient + nodes[:, None] * axis, axis=1)
    # P(|N(0, x²)| > 1) = erfc(1/(√2 x)).
    beyond = [math.erfc(1 / (math.sqrt(2) * x)) if x > 0 else 0.0 for x in scale.tolist()]
    return float(weights @ beyond / weights.sum())


@cache
def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    return nodes, weights


def too_sharp(gradient: Vector, covariance: Matrix, size: float, sharpness: float) -> str:
    """Say that linear selection would not stay linear, more than 0.1 % of its probabilities being
    clipped; empty where it does."""
    beyond = clipped(gradient, covariance, size, sharpness)
    if beyond <= 1e-3:
        return ""
    return (
        f"sharpness × mutation is too large to stay linear: {beyond:.2%} of all probabilities of "
        "acceptance would be clipped, at most 0.1 % "
        f"may; got {sharpness:g} × {size:g}"
    )


# --- what the noise does on a quadratic -----------------------------------------------------------


# --- how many directions --------------------------------------------------------------------------


def participation(eigenvalues: Float[np.ndarray, "... rank"]) -> Float[np.ndarray, "..."]:
    """(Σλ)²/Σλ² of a covariance's eigenvalues: in how many directions its variance lies. Range: 1
    to n."""
    ratio: np.ndarray = np.square(eigenvalues.sum(-1)) / np.square(eigenvalues).sum(-1)
    return ratio
