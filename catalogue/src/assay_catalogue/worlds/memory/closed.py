"""Memorisation by a counting model in closed form: a document is one occurrence of a context that
nothing else has, in k copies."""

from __future__ import annotations

import itertools
import math

import numpy as np
from jaxtyping import Float, Int


def log_likelihood(
    occurrences: Int[np.ndarray, "*any"] | int, alpha: float, symbols: int
) -> Float[np.ndarray, "*any"]:
    """Log-probability, in nats, of what followed a context in all of its `seen` occurrences.

    Formula: ln((j + α) / (j + αV))
    """
    j = np.asarray(occurrences, dtype=np.float64)
    return np.log((j + alpha) / (j + alpha * symbols))


def one_of(k: int, rate: float, alpha: float, symbols: int) -> float:
    """Counterfactual memorisation, in nats, of one of k copies that are each kept with probability
    `rate`.

    Formula: Σ_{j<k} Binomial(j; k−1, r) · [l(j+1) − l(j)]
    """
    chance = [math.comb(k - 1, j) * rate**j * (1 - rate) ** (k - 1 - j) for j in range(k)]
    l = log_likelihood(np.arange(k + 1), alpha, symbols)
    return float(np.array(chance) @ np.diff(l))


def one_of_by_enumeration(k: int, rate: float, alpha: float, symbols: int) -> float:
    """Enumerate all 2^k subsets in place of the formula for one of k copies: the mean gain in nats
    of those with it over those without."""
    sides = np.zeros(2)
    for presence in itertools.product((0, 1), repeat=k):
        other_count = sum(presence[1:])
        chance = rate**other_count * (1 - rate) ** (k - 1 - other_count)
        sides[presence[0]] += chance * float(
            log_likelihood(other_count + presence[0], alpha, symbols)
        )
    return float(sides[1] - sides[0])
