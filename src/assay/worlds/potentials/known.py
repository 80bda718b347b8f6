"""All that is known beforehand about chains on a potential: where they should arrive, and the
counts that one might take instead."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from assay.worlds.potentials import learning_coefficient, reduced_rank
from assay.worlds.potentials.potential import Monomial, Quadratic, potential, weights


class Known(NamedTuple):
    """Numbers about one potential and one setting of the chains, each to be compared with an
    estimate."""

    coefficient: float
    """λ, the learning coefficient."""
    stationary: float
    """What stationary chains give: exact for a quadratic, without the step's error where there is
    an integral, else λ."""
    half_weights: float
    """Half the number of weights, the coefficient of a regular model."""
    half_rank: float
    """Half the rank of the Hessian at the minimum."""


@lru_cache
def known(name: str, n_beta: float, localisation: float = 1.0, lr: float = 0.0) -> Known:
    """What is known about the potential of this name at a setting. Raises: SpecError for no
    potential, or an unstable step on a quadratic."""
    p = potential(name)
    half = weights(p) / 2
    if isinstance(p, Quadratic):
        curved = sum(h > 0 for h in p.curvatures) / 2
        expected = float(
            learning_coefficient.stationary_quadratic(p.curvatures, n_beta, localisation, lr)
        )
        return Known(curved, expected, half, curved)
    if isinstance(p, Monomial):
        expected = learning_coefficient.posterior_monomial(p.powers, n_beta, localisation)
        return Known(
            learning_coefficient.monomial(p.powers)[0], expected, half, float(p.stiffest > 0) / 2
        )
    sizes = (p.inputs, p.hidden, p.outputs)
    coefficient = reduced_rank.coefficient(*sizes, p.rank)[0]
    expected = coefficient
    if p.rank == 0 and min(p.hidden, p.outputs) <= 2:
        expected = learning_coefficient.posterior_rank_zero(*sizes, n_beta, localisation)
    return Known(coefficient, expected, half, reduced_rank.hessian_rank(*sizes, p.rank) / 2)
