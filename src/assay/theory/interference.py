"""What a set of frequencies costs a circuit for modular addition: its loss at given amplitudes, and the cheapest amplitudes.

A circuit with frequencies K and amplitudes A answers c to a + b with logits sum_k A_k cos(2 pi k d / p), d = c − a − b mod p. The
waves agree at d = 0 and interfere elsewhere; how well they cancel there depends on K. Frequencies k and p − k are the same wave,
and multiplying a set by any unit mod p only renames d.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import SpecError
from assay.data.primes import prime

Sets = Iterable[Iterable[int]]
"""Sets of frequencies, each an iterable of whole numbers; sizes may differ."""

STARTS = (1.5, 3.0, 6.0, 15.0)
"""Amplitudes from which the optimum is looked for: the penalty is concave, so that there are many local ones."""


@dataclass(frozen=True)
class Optimum:
    """The cheapest circuit of each set, in the order of the sets."""

    objective: Float[np.ndarray, " set"]
    """J: mean cross-entropy plus half the weight decay times the squared parameter norm, nats."""
    size: Float[np.ndarray, " set"]
    """S = sum_k A_k^(2/3), so that nu S is the squared norm. J changes with nu by decay S / 2, to first order."""
    amplitudes: Float[np.ndarray, "set frequency"]
    """A_k of frequency 1 … (p − 1)/2, zero outside the set."""


def folded(frequencies: Iterable[int], p: int) -> tuple[int, ...]:
    """The set with p − k written as k for k above p/2, in the given order.

    Raises: SpecError for a modulus that is no odd prime, a frequency 0, one that is given twice, or more than exist.
    """
    most = (prime(p) - 1) // 2
    given = tuple(int(k) for k in frequencies)
    if len(given) > most:
        raise SpecError(f"there are {most} frequencies at modulus {p}, got {len(given)}")
    if any(k % p == 0 for k in given):
        raise SpecError(f"frequency 0 is a constant and no wave; frequencies are 1 … {most} at modulus {p}, got {list(given)}")
    made = tuple(min(k % p, -k % p) for k in given)
    if len(set(made)) < len(made):
        raise SpecError(f"a frequency is given twice in {list(given)}: k and {p} − k are the same wave")
    return made


def masks(sets: Sets, p: int) -> Float[np.ndarray, "set frequency"]:
    """1 for the frequencies of each set and 0 for others, frequency 1 … (p − 1)/2. Raises: as `folded`."""
    made = [folded(k, p) for k in sets]
    out = np.zeros((len(made), (prime(p) - 1) // 2))
    for row, k in zip(out, made, strict=True):
        row[np.array(k, dtype=int) - 1] = 1
    return out


def sets_of(chosen: Float[np.ndarray, "set frequency"]) -> Sequence[tuple[int, ...]]:
    """The frequencies whose entry is not 0, set by set."""
    return [tuple(int(k) + 1 for k in np.flatnonzero(row)) for row in chosen]


def cross_entropy(amplitudes: Float[np.ndarray, "set frequency"], p: int) -> Float[np.ndarray, " set"]:
    """Mean cross-entropy of circuits with these amplitudes of frequency 1 … (p − 1)/2, nats.

    Formula: log(1 + sum over d = 1 … p − 1 of exp(−sum_k A_k (1 − cos(2 pi k d / p)))).
    Range: 0 to log p where no amplitude is negative. Better: lower.
    """
    return np.log1p(2 * np.exp(-_checked(amplitudes, p) @ _drops(p)).sum(-1))


def margin(amplitudes: Float[np.ndarray, "set frequency"], p: int) -> Float[np.ndarray, " set"]:
    """By how much the right logit exceeds the best wrong one: the least over d of sum_k A_k (1 − cos(2 pi k d / p)). Better: higher."""
    return (_checked(amplitudes, p) @ _drops(p)).min(-1)


def profile(amplitudes: Float[np.ndarray, "set frequency"], p: int) -> Float[np.ndarray, "set difference"]:
    """The logit of every answer that is off by d = 0 … p − 1."""
    k, d = np.arange(1, (prime(p) - 1) // 2 + 1), np.arange(p)
    return _checked(amplitudes, p) @ np.cos(2 * np.pi * np.outer(k, d) / p)


def optimum(sets: Sets, p: int, *, decay: float, nu: float, steps: int = 600) -> Optimum:
    """The cheapest circuit of each set: amplitudes of at least 0 that minimise loss plus decayed norm.

    Formula: min over A of cross_entropy(A) + decay/2 nu sum_k A_k^(2/3), found by Adam on log A in float64 from several starts.
    The power 2/3 is that of a network whose logits are cubic in its weights.
    Raises: SpecError for sets as in `folded`, and for a negative decay or nu.
    """
    _check_price(decay, nu)
    mask = masks(sets, p)
    price, drops = decay / 2 * nu, _drops(p)
    at = np.repeat(np.log(np.array(STARTS))[:, None], len(mask), 1)[..., None] * np.ones(mask.shape[1])
    at = at.reshape(-1, mask.shape[1])  # [start·set, frequency]
    used = np.tile(mask, (len(STARTS), 1))
    mean, square = np.zeros_like(at), np.zeros_like(at)
    for step in range(1, steps + 1):
        A = used * np.exp(at)
        e = 2 * np.exp(-A @ drops)
        e /= 1 + e.sum(1, keepdims=True)
        slope = A * -(e @ drops.T) + price * (2 / 3) * np.cbrt(A) ** 2
        mean += 0.1 * (slope - mean)
        square += 0.02 * (slope * slope - square)
        rate = 0.2 * (1 + np.cos(np.pi * step / steps)) / 2
        at -= rate * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.98**step)) + 1e-12)
    A = used * np.exp(at)
    J = (cross_entropy(A, p) + price * (np.cbrt(A) ** 2).sum(1)).reshape(len(STARTS), -1)
    best = A.reshape(len(STARTS), *mask.shape)[J.argmin(0), np.arange(len(mask))]
    return Optimum(J.min(0), (np.cbrt(best) ** 2).sum(1), best)


def even(sets: Sets, p: int, *, decay: float, nu: float) -> Float[np.ndarray, " set"]:
    """J of the cheapest circuit of each set that gives all its frequencies one amplitude, nats.

    At least `optimum`, which may starve a frequency that interferes. The amplitude is looked for on a grid from 0.05 to 100,000 in
    steps of 1 %, so that J is right to 1 in 10,000. Raises: SpecError as `optimum`.
    """
    _check_price(decay, nu)
    mask = masks(sets, p)
    grid = np.exp(np.linspace(np.log(0.05), np.log(1e5), 1_452))
    best = np.full(len(mask), np.inf)
    for a in grid:
        best = np.minimum(best, cross_entropy(a * mask, p) + decay / 2 * nu * mask.sum(1) * np.cbrt(a) ** 2)
    return best


def representative(frequencies: Iterable[int], p: int) -> tuple[int, ...]:
    """The first, in dictionary order, of all sets that multiplying by a unit mod p makes of this one; it contains 1."""
    k = np.array([folded(frequencies, p)])
    return tuple(int(x) for x in _smallest(k, p)[0][0])


@lru_cache(maxsize=8)
def orbits(p: int, size: int) -> tuple[Int[np.ndarray, "orbit frequency"], Int[np.ndarray, " orbit"]]:
    """All sets of `size` frequencies up to a unit mod p: one of each orbit, and how many sets the orbit has.

    Interference, and so loss and efficiency, is the same within an orbit.
    """
    most = _checked_size(p, size)
    with_one = itertools.combinations(range(2, most + 1), size - 1)  # every orbit has a set with 1 in it
    k = np.array([(1, *rest) for rest in with_one], dtype=np.int64)
    smallest, times = _smallest(k, p)
    first = np.unique(smallest, axis=0, return_index=True)[1]
    return smallest[first], most // times[first]


def orbit_count(p: int, size: int) -> int:
    """How many orbits `orbits` would list, without listing sets: necklaces, as units turn frequencies about in one cycle.

    Formula: with m = (p − 1)/2 frequencies, (1/m) sum over t = 1 … m of C(g, size·g/m) where m divides size·g, g = gcd(t, m).
    Raises: SpecError as `orbits`.
    """
    most = _checked_size(p, size)
    cycles = [math.gcd(t, most) for t in range(1, most + 1)]
    return sum(math.comb(g, size * g // most) for g in cycles if size * g % most == 0) // most


def _checked_size(p: int, size: int) -> int:
    """How many frequencies there are. Raises: SpecError when a set cannot have `size` of them."""
    most = (prime(p) - 1) // 2
    if not 1 <= size <= most:
        raise SpecError(f"sets have 1 to {most} frequencies at modulus {p}, got {size}")
    return most


def _smallest(k: Int[np.ndarray, "set frequency"], p: int) -> tuple[Int[np.ndarray, "set frequency"], Int[np.ndarray, " set"]]:
    """The smallest set of each orbit, and how many units lead to it: only those that make one of the frequencies a 1 can."""
    inverse = np.array([0] + [pow(u, -1, p) for u in range(1, p)])
    images = np.stack([_fold(k * inverse[k[:, i : i + 1]], p) for i in range(k.shape[1])])  # [choice, set, frequency]
    images.sort(axis=2)
    code = images @ p ** np.arange(k.shape[1] - 1, -1, -1, dtype=np.int64) if k.shape[1] * np.log2(p) < 62 else _ranks(images)
    best = code.argmin(0)
    return images[best, np.arange(len(k))], (code == code.min(0)).sum(0)


def _ranks(images: Int[np.ndarray, "choice set frequency"]) -> Int[np.ndarray, "choice set"]:
    """Where each set stands among all in dictionary order; for sets too large to be the digits of one number."""
    return np.unique(images.reshape(-1, images.shape[2]), axis=0, return_inverse=True)[1].reshape(images.shape[:2])


def _fold(k: Int[np.ndarray, "..."], p: int) -> Int[np.ndarray, "..."]:
    return np.minimum(k % p, -k % p)


def _check_price(decay: float, nu: float) -> None:
    if not (decay >= 0 and nu >= 0):
        raise SpecError(f"weight decay and nu must be at least 0, got {decay:g} and {nu:g}: less would reward an endless norm")


def _checked(amplitudes: Float[np.ndarray, "set frequency"], p: int) -> Float[np.ndarray, "set frequency"]:
    if np.shape(amplitudes)[-1] != (prime(p) - 1) // 2:
        raise SpecError(f"modulus {p} has {(p - 1) // 2} frequencies, got amplitudes of {np.shape(amplitudes)[-1]}")
    return np.asarray(amplitudes, dtype=np.float64)


@lru_cache(maxsize=8)
def _drops(p: int) -> Float[np.ndarray, "frequency difference"]:
    """1 − cos(2 pi k d / p) for d = 1 … (p − 1)/2; p − d gives the same."""
    k = np.arange(1, (prime(p) - 1) // 2 + 1)
    return 1 - np.cos(2 * np.pi * np.outer(k, k) / p)
