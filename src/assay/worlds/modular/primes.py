"""Odd primes, the moduli at which all frequencies but the constant have the same shape."""

from __future__ import annotations

import math

from assay.core.errors import SpecError


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
