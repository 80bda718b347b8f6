"""The settings of Langevin chains: the usual inverse temperature, and which steps can sample."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from assay.core.errors import SpecError

PerChain = float | Float[np.ndarray, "run"]
"""One number for all chains, or one for each."""


def check_sampler(
    lr: PerChain, n_beta: PerChain, localisation: PerChain, curvature: PerChain | None = None
) -> None:
    """Refuse settings that cannot sample; where the loss's largest curvature is known, lr · (n_beta
    · curvature + localisation) must be below 4.

    From 4 on a chain in a quadratic well grows without bound: a step takes w to (1 − lr · (…)/2) ·
    w.
    Raises: SpecError, naming the first number that is out of range.
    """
    if not np.all(np.asarray(lr) > 0):
        raise SpecError(f"the step lr of a Langevin chain must be positive, got {np.min(lr):g}")
    if not np.all(np.asarray(n_beta) > 0):
        raise SpecError(
            f"n_beta, data points over temperature, must be positive, got {np.min(n_beta):g}"
        )
    if not np.all(np.asarray(localisation) >= 0):
        raise SpecError(
            "localisation, the pull towards the centre, must be at least 0, got "
            f"{np.min(localisation):g}"
        )
    if curvature is None:
        return
    stiff = np.asarray(n_beta) * curvature + np.asarray(localisation)
    if np.any((worst := np.asarray(lr) * stiff) >= 4):
        below = 4 / np.max(stiff)
        raise SpecError(
            "unstable Langevin step: lr · (n_beta · curvature + localisation) is "
            f"{np.max(worst):.3g}, and has to be below 4: "
            f"take lr below {below:.3g}"
        )


def n_beta_of(samples: int) -> float:
    """The inverse temperature at which learning coefficients are estimated. Formula: n/ln n

    n is the number of data points, not of those in a batch. Raises: SpecError for fewer than 2.
    Source: Watanabe 2013, A Widely Applicable Bayesian Information Criterion.
    """
    if samples < 2:
        raise SpecError(f"n_beta = n/ln n needs at least 2 data points, got {samples}")
    return samples / math.log(samples)
