"""How many entries of a vector carry it: kurtosis, Gini coefficient, and the
fewest entries with most of the length.

For decoder matrices a row is one feature over all neurons, a column one neuron over all features.
Vectors lie along the last axis, and everything is float64. A vector of zeros, and kurtosis of one
without variance, give NaN."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from assay.core.arrays import less


def excess_kurtosis(w: Float[np.ndarray, "*any n"]) -> Float[np.ndarray, "*any"]:
    """How much heavier an entry's tails are than a normal number's: above 0 where the basis stands
    out.

    Formula: m₄ / m₂² − 3, moments about the mean of the entries
    Range: −2 to n²/(n − 1) − 6, the value of a vector with one entry
    Better: neither
    """
    w = np.asarray(w, dtype=np.float64)
    square = np.square(less(w, w.mean(-1, keepdims=True)))
    with np.errstate(all="ignore"):
        return np.square(square).mean(-1) / square.mean(-1) ** 2 - 3


def gini(x: Float[np.ndarray, "*any n"]) -> Float[np.ndarray, "*any"]:
    """How unequal non-negative numbers are; of entries with signs give the absolute values.

    Formula: 2 Σ_i i·x_(i) / (n Σ x) − (n + 1)/n, x_(i) ascending
    Range: 0 (all equal) to 1 − 1/n (one has all)
    Better: neither
    """
    x = np.sort(np.asarray(x, dtype=np.float64), axis=-1)
    n = x.shape[-1]
    with np.errstate(all="ignore"):
        return 2 * (np.arange(1, n + 1) * x).sum(-1) / (n * x.sum(-1)) - (n + 1) / n


def fewest(parts: Float[np.ndarray, "*any n"], share: float = 0.9) -> Float[np.ndarray, "*any"]:
    """The least number of parts that make up a share of their sum. Of a vector's squares, k90 is
    this at 0.9.

    Formula: least k with Σ of the k largest ≥ share · Σ
    Range: 1 to n
    Better: neither
    """
    parts = -np.sort(-np.asarray(parts, dtype=np.float64), axis=-1)
    total = parts.sum(-1, keepdims=True)
    counts = 1 + (np.cumsum(parts, -1) < share * total * (1 - 1e-12)).sum(-1)
    return np.where(total[..., 0] > 0, counts, np.nan)


def large(w: Float[np.ndarray, "*any n"], least: float = 0.1) -> Float[np.ndarray, "*any"]:
    """How many entries are large once the vector has length 1.

    Formula: #{|w_j| ≥ least ‖w‖}
    Range: 0 to 1/least²
    Better: neither
    Source: Towards Monosemanticity (2023), "The feature is not a neuron": 27 of 512 for feature
    A/1/3450"""
    w = np.asarray(w, dtype=np.float64)
    length = np.linalg.norm(w, axis=-1, keepdims=True)
    return np.where(length[..., 0] > 0, (np.abs(w) >= least * length).sum(-1), np.nan)
