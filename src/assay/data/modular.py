"""Addition modulo a prime as a table of unordered pairs: nested training sets, true sums, random labels."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from assay.core import rng
from assay.core.errors import SpecError


def is_prime(n: int) -> bool:
    """True when n is a prime number."""
    return n > 1 and all(n % k for k in range(2, math.isqrt(n) + 1))


def check_prime(p: int) -> None:
    """Raises: SpecError when p is not prime, naming the primes on both sides."""
    if is_prime(p):
        return
    above = next(n for n in range(max(p, 1) + 1, 2 * max(p, 1) + 2) if is_prime(n))
    below = next((n for n in range(p - 1, 1, -1) if is_prime(n)), None)
    near = f"nearest primes {below} and {above}" if below else f"the smallest is {above}"
    raise SpecError(f"p must be prime, got {p}; {near}")


def pairs(p: int) -> Int[Tensor, "pair 2"]:
    """All pairs a ≤ b of residues mod p, p(p + 1)/2 of them; ordered ones would put each sum on both sides of a split.

    Raises: SpecError when p is not prime.
    """
    check_prime(p)
    return torch.from_numpy(np.stack(np.triu_indices(p), 1))


def sums(p: int) -> Int[Tensor, "pair"]:
    """(a + b) mod p of each pair, in the order of `pairs`. Raises: SpecError when p is not prime."""
    return pairs(p).sum(1) % p


def order(seeds: Int[np.ndarray, "run"], p: int, draw: int = 0) -> Int[Tensor, "run pair"]:
    """A uniform order of all pairs for each seed; the first D are a training set, so sets are nested in D.

    `draw` gives the same seeds other, independent orders.
    """
    return torch.from_numpy(rng.permutation(np.asarray(seeds), "modular.order", draw, p * (p + 1) // 2))


def random_labels(seeds: Int[np.ndarray, "run"], p: int, draw: int = 0) -> Int[Tensor, "run pair"]:
    """A uniform label for each pair, drawn by each seed: a table that can only be memorised."""
    return torch.from_numpy(rng.integers(np.asarray(seeds), "modular.labels", draw, (p * (p + 1) // 2,), p))
