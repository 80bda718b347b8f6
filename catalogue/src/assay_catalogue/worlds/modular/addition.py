"""Addition modulo a prime as a table of unordered pairs: nested training sets, true sums, random
labels. Its moduli are odd primes, at which all frequencies but the constant have the same shape."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.train import rng


def prime(p: int) -> int:
    """p itself. Raises: SpecError unless it is an odd prime, naming the nearest on both sides."""
    if _is_odd_prime(p):
        return p
    above = next(n for n in range(max(p, 2) + 1, 2 * max(p, 2) + 2) if _is_odd_prime(n))
    below = next((n for n in range(p - 1, 2, -1) if _is_odd_prime(n)), None)
    near = f"nearest {below} and {above}" if below else f"the smallest is {above}"
    raise SpecError(f"p must be an odd prime, got {p}; {near}")


def _is_odd_prime(n: int) -> bool:
    return n > 2 and all(n % k for k in range(2, math.isqrt(n) + 1))


def pairs(p: int) -> Int[torch.Tensor, "pair 2"]:
    """All pairs a ≤ b of residues mod p, p(p + 1)/2 of them; ordered ones would put each sum on
    both sides of a split.

    Raises: SpecError unless p is an odd prime.
    """
    return torch.from_numpy(np.stack(np.triu_indices(prime(p)), 1))


def sums(p: int) -> Int[torch.Tensor, " pair"]:
    """(a + b) mod p of each pair, in the order of `pairs`. Raises: SpecError unless p is an odd
    prime."""
    return pairs(p).sum(1) % p


def order(seeds: Int[np.ndarray, " run"], p: int, draw: int = 0) -> Int[torch.Tensor, "run pair"]:
    """A uniform order of all pairs for each seed; the first D are a training set, so sets are
    nested in D.

    `draw` gives the same seeds other, independent orders.
    """
    return torch.from_numpy(
        rng.permutation(np.asarray(seeds), "modular.order", draw, p * (p + 1) // 2)
    )


def random_labels(
    seeds: Int[np.ndarray, " run"], p: int, draw: int = 0
) -> Int[torch.Tensor, "run pair"]:
    """A uniform label for each pair, drawn by each seed: a table that can only be memorised."""
    return torch.from_numpy(
        rng.integers(np.asarray(seeds), "modular.labels", draw, (p * (p + 1) // 2,), p)
    )
