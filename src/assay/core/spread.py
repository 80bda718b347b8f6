"""Spread: statistics of a set of vectors, such as the effective rank of the activations on all
prompts, as one number for each vector whose mean is the statistic: its value, and how far this
vector moves it (the infinitesimal jackknife). Intervals of means are then those of the statistic of
as many vectors, to first order."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from assay.core.heavy import scipy

Vectors = Float[np.ndarray, "n d"]
Moved = tuple[float, Float[np.ndarray, " n"]]
"""A statistic, and by how much each vector moves it; these add up to 0."""
LEAST_SHARE = 1e-12
"""Shares of the variance below this are what rounding leaves of none."""


def by_vector(statistic: Callable[[Vectors], Moved], x: Vectors) -> Float[np.ndarray, " n"]:
    """Compute of each vector what a statistic is the mean of; NaN of fewer than two vectors, and
    where no two of them differ.

    Formula: T + n/(n − 1) ψ_i, ψ_i how fast T grows with the weight of vector i
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 22
    """
    n = len(x)
    if n < 2 or not np.isfinite(x).all():
        return np.full(n, np.nan)
    with np.errstate(all="ignore"):
        value, moved = statistic(np.asarray(x, dtype=np.float64))
        return value + n / (n - 1) * moved


def effective_rank(x: Vectors) -> Moved:
    """How many dimensions the vectors fill.

    Formula: exp(−Σ p log p), p the share of the variance of each principal component
    Source: Roy and Vetterli, The effective rank, EUSIPCO 2007
    """
    p, moved = _shares(x)
    logs = np.log(np.maximum(p, LEAST_SHARE))
    rank = math.exp(-float((p * logs).sum()))
    return rank, -rank * (moved * logs).sum(1)


def participation_ratio(x: Vectors) -> Moved:
    """How many dimensions the vectors fill, large ones counting more.

    Formula: (Σ λ)² / Σ λ², λ the variance of each principal component
    """
    p, moved = _shares(x)
    ratio = 1 / float((p**2).sum())
    return ratio, -2 * ratio**2 * (moved * p).sum(1)


def explained(x: Vectors, components: int) -> Moved:
    """Which share of the variance the first principal components have."""
    p, moved = _shares(x)
    return float(p[:components].sum()), moved[:, :components].sum(1)


def cosine(x: Vectors) -> Moved:
    """The mean cosine of every two vectors.

    Formula: mean over i < j of x_i · x_j / (‖x_i‖ ‖x_j‖)
    """
    n = len(x)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    each = (unit @ unit.sum(0) - 1) / (n - 1)
    return float(each.mean()), _of_pairs(each)


def cka(x: Vectors, y: Float[np.ndarray, "n e"]) -> Moved:
    """How alike two sets of vectors lie, vector i of one with vector i of the other: linear CKA.

    Formula: ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖), X and Y less their means, norms of all entries
    Source: Kornblith et al., Similarity of Neural Network Representations Revisited, 2019
    """
    k, m = ((z - z.mean(0)) @ (z - z.mean(0)).T for z in (x, y))
    both, own, other = ((a * b).mean(1) for a, b in ((k, m), (k, k), (m, m)))
    with np.errstate(all="ignore"):
        alike = both.mean() / np.sqrt(own.mean() * other.mean())
        # how much of each product is a vector's, times two since it is in both of its factors
        shares = [2 * (z / z.mean() - 1) for z in (both, own, other)]
        return float(alike), alike * (shares[0] - shares[1] / 2 - shares[2] / 2)


def rsa(x: Vectors, y: Float[np.ndarray, "n e"]) -> Moved:
    """Whether every two vectors are as alike in one set as in the other: the rank correlation of
    their similarities.

    Formula: Spearman's ρ over i < j of corr(x_i, x_j) and corr(y_i, y_j), over dimensions
    Source: Kriegeskorte, Mur and Bandettini, Representational Similarity Analysis, 2008
    """
    n = len(x)
    if n < 3:
        return math.nan, np.full(n, math.nan)
    i, j = np.triu_indices(n, 1)
    first, second = (np.corrcoef(z)[i, j] for z in (x, y))
    u, v = (scipy.stats.rankdata(z) / len(z) for z in (first, second))
    alike = float(np.corrcoef(u, v)[0, 1])
    # how much of Spearman's ρ a pair has: by its own ranks, and by those that it gives to others
    raised = [_mean_above(a, b) for a, b in ((first, v), (second, u))]
    of_pair = 12 * (u * v + raised[0] + raised[1])
    sums = np.bincount(i, of_pair, n) + np.bincount(j, of_pair, n)
    return alike, _of_pairs(sums / (n - 1))


def distance(x: Vectors, first: Bool[np.ndarray, " n"], second: Bool[np.ndarray, " n"]) -> Moved:
    """How far the mean of some vectors is from that of others.

    Formula: ‖x̄ − ȳ‖
    """
    means = [x[rows].mean(0) for rows in (first, second)]
    apart = means[0] - means[1]
    length = float(np.linalg.norm(apart))
    moved = np.zeros(len(x))
    for rows, mean, sign in zip((first, second), means, (1, -1), strict=True):
        moved[rows] = sign * len(x) / rows.sum() * (x[rows] - mean) @ apart / length
    return length, moved


def _of_pairs(each: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """By how much each vector moves a mean over pairs, from the mean over the pairs that it is
    in."""
    n = len(each)
    # times this, since a vector is in n − 1 of the pairs, and its own weight moves no other one
    return 2 * (n - 1) ** 2 / (n * max(1, n - 2)) * (each - each.mean())


def _mean_above(x: Float[np.ndarray, " m"], y: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """For each number of x, the mean over all of y where x is as large, else of 0."""
    order = np.argsort(x)
    sums = np.cumsum(y[order][::-1])[::-1]
    return np.asarray(sums[np.searchsorted(x[order], x)] / len(x))


def _shares(x: Vectors) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "n k"]]:
    """The share of the variance of each principal component, the largest first, and by how much
    each vector moves it."""
    u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    p = s**2 / (s**2).sum()
    moved = (len(x) * u**2 - 1) * p
    return p, moved - p * moved.sum(1, keepdims=True)
