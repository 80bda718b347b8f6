"""What a feature does to the next token's logits along the direct path: its decoder row read by the
unembedding.

Nothing here re-runs later blocks: far from the output these are weak hints, and every view of them
says "direct path only"."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int


def direct_logits(
    decoder: Float[np.ndarray, "feature d"],
    unembedding: Float[np.ndarray, "d vocabulary"],
    norm: Float[np.ndarray, "d"] | None,
) -> Float[np.ndarray, "feature vocabulary"]:
    """Logits that one unit of each feature adds if nothing but the final norm's weight stands
    between; not centred.

    Formula: (d_k ∘ w) W_U, w the weight of the final norm (its division by the residual's size is
    left out)
    Source: callummcdougall/sae_vis, the logit tables
    Differs: sae_vis leaves out the norm's weight
    """
    rows = decoder if norm is None else decoder * norm
    return rows.astype(np.float32, copy=False) @ unembedding.astype(np.float32, copy=False)


def extremes(
    logits: Float[np.ndarray, "feature vocabulary"], count: int
) -> tuple[Int[np.ndarray, "feature sign rank"], Float[np.ndarray, "feature sign rank"]]:
    """Token ids and logits of the `count` most promoted (sign 0) and most suppressed (sign 1)
    tokens; ties by token id."""
    ids = np.stack([largest(logits, count), largest(-logits, count)], 1)
    return ids, np.take_along_axis(logits[:, None], ids, 2)


def histogram(
    logits: Float[np.ndarray, "feature vocabulary"], bins: int
) -> Int[np.ndarray, "feature bins"]:
    """Count the logits of each feature in equal bins from its least to its largest, which the last
    bin has; equal ones are in the first."""
    low, high = logits.min(1, keepdims=True), logits.max(1, keepdims=True)
    scale = np.divide(bins, high - low, out=np.zeros_like(low), where=high > low)
    place = np.minimum(((logits - low) * scale).astype(np.int64), bins - 1)
    place += bins * np.arange(len(logits))[:, None]
    return np.bincount(place.ravel(), minlength=bins * len(logits)).reshape(-1, bins)


ACROSS = 512
"""Groups into which a row is split; each has a maximum."""


def largest(values: Float[np.ndarray, "n m"], count: int) -> Int[np.ndarray, "n count"]:
    """Return places of the `count` largest of each row, largest first, ties by place; fewer where a
    row is shorter."""
    n, m = values.shape
    count = min(count, m)
    places = np.empty((n, count), np.int64)
    if count:
        across = max(count, ACROSS)
        whole = m // across * across
        for i, row in enumerate(values):
            maxima = row[:whole].reshape(-1, across).max(0) if whole else row
            bar = np.partition(maxima, -count)[
                -count
            ]  # so many numbers reach it, so the largest do
            reach = np.flatnonzero(row >= bar)
            places[i] = reach[np.argsort(-row[reach], kind="stable")[:count]]
    return places
