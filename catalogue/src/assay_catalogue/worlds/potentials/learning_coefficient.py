"""What a Langevin estimate of the learning coefficient tends to, for losses simple enough: by
closed form or by integral."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from assay.core.errors import SpecError


def monomial(powers: Sequence[int]) -> tuple[float, int]:
    """The learning coefficient of the product of w^(2k) at 0, and its multiplicity. Formula: min
    1/(2k); how many k reach it

    A weight of power 0 is free and does not count. Source: Watanabe 2009, Algebraic Geometry and
    Statistical Learning Theory."""
    largest = max(powers)
    if largest < 1 or min(powers) < 0:
        raise SpecError(
            f"powers of a monomial are at least 0, one of them above, got {tuple(powers)}"
        )
    return 1 / (2 * largest), list(powers).count(largest)


def stationary_quadratic(
    curvatures: Float[np.ndarray, "*any weight"] | Sequence[float],
    n_beta: float,
    localisation: float = 0.0,
    lr: float = 0.0,
) -> Float[np.ndarray, "*any"]:
    """What chains on ½ Σ h w² estimate once they are stationary. Formula: ½ Σ [n_beta h/κ] / [1 −
    lr κ/4], κ = n_beta h + localisation

    Two biases stand in it. Localisation pulls below half the number of curved directions; a finite
    step pushes above.
    Range: half the number of curved directions at localisation 0 and lr 0. Raises: SpecError where
    lr κ reaches 4."""
    h = np.asarray(curvatures, float)
    kappa = n_beta * h + localisation
    if np.any(lr * kappa >= 4):
        raise SpecError(
            "chains of a quadratic have no stationary state: lr · (n_beta · curvature + "
            f"localisation) is {np.max(lr * kappa):.3g}, and "
            "has to be below 4"
        )
    share = np.divide(n_beta * h, kappa, out=np.zeros_like(kappa), where=kappa > 0)
    return (share / (1 - lr * kappa / 4)).sum(-1) / 2


def posterior_monomial(
    powers: Sequence[int], n_beta: float, localisation: float = 0.0, box: bool = False
) -> float:
    """What perfect samples of the density give for the product of w^(2k), one or two weights, at a
    finite n_beta.

    Formula: n_beta · E L under the density ∝ exp(−n_beta L − localisation/2 · |w|²), with `box` on
    |w| ≤ 1 only. It tends to `monomial` as n_beta grows, but where the multiplicity is 2 only as one over the logarithm.
    Raises: SpecError where the density has no finite integral: a weight that nothing holds, without
    a box."""  # noqa: E501
    if (
        not 1 <= len(powers) <= 2
        or min(powers) < 0
        or max(powers) < 1
        or n_beta <= 0
        or localisation < 0
    ):
        raise SpecError(
            "a monomial has one or two powers from 0 on, n_beta above 0 and localisation from 0 "
            f"on, got {tuple(powers)}, "
            f"{n_beta:g}, {localisation:g}"
        )
    if localisation == 0 and not box and len(powers) > 1:
        raise SpecError(
            "without localisation or a box a flat direction reaches to infinity, and the "
            "density has no integral"
        )
    top = (
        0.0 if box else math.log(max(10 / math.sqrt(localisation or 1), 60.0))
    )  # above it nothing is left of the density
    u, du = _panels(-60.0, top)  # u = ln w
    # dw = w du. Logarithms, because the density near a singular minimum is spread over many decades
    # of w.
    weight = du * np.exp(u)
    prior = -localisation / 2 * np.exp(2 * u)
    if len(powers) == 1:
        exponent = 2 * powers[0] * u
        pull, mass = prior, weight
    else:
        exponent = 2 * powers[0] * u[:, None] + 2 * powers[1] * u
        pull, mass = prior[:, None] + prior, weight[:, None] * weight
    loss = n_beta * np.exp(np.minimum(exponent, 300.0))
    density = mass * np.exp(pull - loss)
    return float((loss * density).sum() / density.sum())


def posterior_rank_zero(
    inputs: int, hidden: int, outputs: int, n_beta: float, localisation: float
) -> float:
    """What perfect samples give for ½ ‖B A‖², a linear network at a truth of rank 0, localised at
    0, at a finite n_beta.

    Formula: given B, A is Gaussian and can be integrated out; with s the squared singular values of
    B this leaves E Σ (inputs/2) n_beta s/(localisation + n_beta s) under a density ∝ Π
    (localisation + n_beta s)^(−inputs/2) times that of the s of a Gaussian matrix, of which there
    are one or two here.
    Raises: SpecError unless hidden or outputs is at most 2, and both numbers are positive.
    """
    count, gap = min(hidden, outputs), abs(hidden - outputs)
    if count not in (1, 2) or inputs < 1 or n_beta <= 0 or localisation <= 0:
        raise SpecError(
            "the integral at rank 0 is worked out for 1 or 2 hidden units or outputs, n_beta and "
            "localisation above 0; got "
            f"sizes {inputs}-{hidden}-{outputs}, {n_beta:g}, {localisation:g}"
        )
    u, du = _panels(-60.0, math.log(200 / localisation))
    first = np.exp(u)
    if count == 1:
        s, mass = first[None], du * first
        repelled = np.ones_like(first)
    else:
        v, dv = _panels(-60.0, 0.0)  # the smaller one as a share of the larger
        share = np.exp(v)
        s = np.stack(np.broadcast_arrays(first[:, None], first[:, None] * share))
        mass = (du * first)[:, None] * (dv * share) * first[:, None]
        # Eigenvalues of a Gaussian matrix repel each other: their joint density has the factor s₁ −
        # s₂.
        repelled = s[0] - s[1]
    log = (
        (gap - 1) / 2 * np.log(s)
        - localisation / 2 * s
        - inputs / 2 * np.log(localisation + n_beta * s)
    ).sum(0)
    density = mass * repelled * np.exp(log - log.max())
    losses = (inputs / 2 * n_beta * s / (localisation + n_beta * s)).sum(0)
    return float((losses * density).sum() / density.sum())


def _panels(
    low: float, high: float, panels: int = 80, nodes: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre's rule on equal panels."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    edges = np.linspace(low, high, panels + 1)
    half = (edges[1:] - edges[:-1]) / 2
    middle = (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()
