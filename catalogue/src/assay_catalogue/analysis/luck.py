"""How far numbers of trainings lie apart by luck: the difference of two new ones, and the standard
errors of few runs."""

from __future__ import annotations

import math

import numpy as np

from assay.core.errors import ClaimError
from assay.core.heavy import scipy, xr


def smallest_difference(deviation: float, n: int, level: float = 0.95) -> float:
    """Compute what the difference of two new units exceeds by luck in 5 % of pairs, from the
    standard deviation of n such units.

    Formula: t_(1+level)/2, n−1 · √2 · s, exact for normal units; NaN for fewer than two
    """
    if n < 2:
        return math.nan
    t = float(scipy.special.stdtrit(n - 1, (1 + level) / 2))
    return t * math.sqrt(2) * deviation


def normal_errors(off: xr.DataArray) -> np.ndarray:
    """How many standard errors each mean over runs lies from 0, as if the errors were known: the
    normal z of Student's two-sided p.

    Args:
        off: deviations from 0, with the dim `run`, in any unit.
    Formula: t = x̄ √n / s with n − 1 degrees of freedom; z has t's sign and P(|Z| > |z|) = P(|T| >
    |t|). With few runs s is so uncertain that t itself is large by chance; z is as likely beyond 4
    with three runs as with sixty.
    Raises: ClaimError for a single run, which has no standard error.
    Example:
        >>> import xarray as xr
        >>> from assay_catalogue.analysis.luck import normal_errors
        >>> off = xr.DataArray([1.0, 2.0, 3.0], dims="run")  # t = 3.46, of 2 degrees
        >>> normal_errors(off).round(2)
        array([1.79])
    """
    n = off.sizes["run"]
    if n < 2:
        raise ClaimError(f"a standard error needs at least 2 runs, got {n}")
    t = np.atleast_1d((off.mean("run") * np.sqrt(n) / off.std("run", ddof=1)).values)
    # By the lower tail, where a p of 1e-200 is still a number; 1 − p would be 1.
    return -np.sign(t) * scipy.special.ndtri(
        np.maximum(scipy.special.stdtr(n - 1, -np.abs(t)), 1e-300)
    )
