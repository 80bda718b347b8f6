"""Spending: how little each of several declared looks may conclude from, so that all of them
together err no more often than one would.

A study that is judged after 8, 16 and 24 seeds has three chances to be wrong. Each look spends a
part of the error rate alpha, by a function of the share of the units that are there, and its
intervals are as much wider: nearly all of alpha is left for the last look.

Boundaries are those of normal estimates. Of few or skewed units intervals err more often in their
far tails than they say, so that an early look settles only what lies outside of a 99.9 % interval;
docs/verdicts.md has what comes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from assay.core.errors import ClaimError
from assay.core.heavy import scipy

ALPHA = 0.05
"""How often a claim whose truth lies on its threshold may be settled at any look: half of it as
holding, half of it as failing."""
MOST = 4
"""Looks that a study may declare."""
EARLY = 3.2905267314919255
"""No look but the last settles anything within so many standard errors of the threshold: those of a
99.9 % interval (Peto 1976)."""
_NODES = 400
"""Points at which a density between two boundaries is kept; more change no boundary by 1e-8."""


@dataclass(frozen=True)
class Boundary:
    """One look: what it may spend, and from where on it settles."""

    share: float
    """Units that are there by then, as a share of all."""
    spent: float
    """Of alpha, by this look and all before it."""
    z: float
    """The normal boundary: how many standard errors an estimate has to lie from the threshold."""

    @property
    def level(self) -> float:
        """The level of an interval that leaves out the threshold just where the boundary is
        crossed."""
        return round(
            1 - 2 * float(scipy.special.ndtr(-self.z)), 12
        )  # 0.95 of a single look, and not 0.9500000000000001


def spent(share: float, alpha: float = ALPHA) -> float:
    """Give the two-sided error rate that may be spent by the time that a share of the units is
    there, 0 to 1.

    Formula: 4 − 4 Φ(z / √share) with z the 1 − alpha/4 quantile of the normal distribution: half of
    alpha on each side
    Source: Lan and DeMets, Discrete sequential boundaries for clinical trials, 1983 (α₁*, like
    O'Brien and Fleming's)."""
    return 4 * float(scipy.special.ndtr(float(scipy.special.ndtri(alpha / 4)) / math.sqrt(share)))


def boundaries(
    units: Sequence[int], alpha: float = ALPHA, early: float = EARLY
) -> tuple[Boundary, ...]:
    """Compute the boundary of each look at so many units, of which the last are all: one look has
    the usual one.

    Estimates of two looks are correlated as the means of n and m of the same units are, √(n/m);
    where something else stays the same at both, such as the documents, they are correlated more,
    and errors are rarer. What early looks leave is spent at the last.

    Formula: z_k solves P(|Z_1| < z_1, …, |Z_(k−1)| < z_(k−1), Z_k > z_k) = (spent(t_k) − what was
    spent before) / 2, and is at least `early` before the last look
    Source: Lan and DeMets, 1983; Armitage, McPherson and Rowe, Repeated significance tests on
    accumulating data, 1969 (the recursion); Peto et al., Design and analysis of randomized clinical
    trials, 1976 (three standard errors and more before the end).
    Raises: ClaimError for none or too many looks, and for units that do not rise.
    """
    if not 1 <= len(units) <= MOST:
        raise ClaimError(f"a study has 1 to {MOST} looks, got {len(units)}")
    if units[0] < 1 or any(a >= b for a, b in pairwise(units)):
        raise ClaimError(
            f"each look has more units than the one before, got {', '.join(map(str, units))}"
        )
    bounds: list[Boundary] = []
    points, density, before = (
        np.zeros(1),
        np.ones(1),
        0.0,
    )  # of the sum of all units so far, in standard errors of the last look
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    for n in units:
        share, already = n / units[-1], bounds[-1].spent if bounds else 0.0
        # Sums of independent increments: between two looks the sum moves by a normal step of this
        # size.
        step = math.sqrt(share - before)
        edge = _edge(points, density, step, (spent(share, alpha) - already) / 2)
        if n < units[-1]:
            # A z of `early`, in the units of the sum.
            edge = max(edge, early * math.sqrt(share))
        probability = 2 * float(density @ scipy.special.ndtr((points - edge) / step))
        bounds.append(Boundary(share, already + probability, edge / math.sqrt(share)))
        # What is left inside the boundary goes on: its density at the nodes of Gauss and Legendre,
        # so that the next integral is a scalar product.
        moved = (
            np.exp(-(((nodes[:, None] * edge - points) / step) ** 2) / 2)
            @ density
            / (step * math.sqrt(2 * math.pi))
        )
        points, density, before = nodes * edge, moved * weights * edge, share
    return tuple(bounds)


def _edge(
    points: Float[np.ndarray, " node"],
    density: Float[np.ndarray, " node"],
    step: float,
    target: float,
) -> float:
    """Where a sum with this density, moved by a normal step, lies beyond with the wanted
    probability."""

    def over(edge: float) -> float:
        # Compared as logarithms: early looks spend so little that a plain difference would be flat.
        return math.log(
            max(float(density @ scipy.special.ndtr((points - edge) / step)), 1e-300)
        ) - math.log(target)

    return float(scipy.optimize.brentq(over, 0.0, 30.0, xtol=1e-12))
