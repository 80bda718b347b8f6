"""Per-feature sums that stream: how often a feature fires, how strongly, and on how few tokens.

Activations arrive sparse, in chunks: `feature` and `value` of every firing, and the number of rows
that the chunk covers. Each statistic is `start` → `update` per chunk → `finish`, so it adds up over
chunks in any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

EDGES = 2.0 ** (np.arange(-42, 43) / 6)
"""Bin edges of the activation histogram: sixths of an octave from 1/128 to 128; other values fall
into the end bins."""


@dataclass(frozen=True)
class Sums:
    """What has been seen so far; the arrays are added to in place."""

    rows: Int[np.ndarray, "1"]
    firings: Int[np.ndarray, " feature"]
    maximum: Float[np.ndarray, " feature"]
    histogram: Int[np.ndarray, "feature bin"]


def start(features: int) -> Sums:
    """Sums over nothing, for dictionaries of `features` entries."""
    return Sums(
        np.zeros(1, np.int64),
        np.zeros(features, np.int64),
        np.zeros(features),
        np.zeros((features, len(EDGES) - 1), np.int64),
    )


def update(
    sums: Sums, feature: Int[np.ndarray, " firing"], value: Float[np.ndarray, " firing"], rows: int
) -> None:
    """Add one chunk to `sums`; values that are not above 0 (nor NaN) are no firings."""
    fires = value > 0
    feature, value = feature[fires].astype(np.int64), value[fires].astype(np.float64)
    features, bins = sums.histogram.shape
    sums.rows[0] += rows
    sums.firings[:] += np.bincount(feature, minlength=features)
    np.maximum.at(sums.maximum, feature, value)
    place = np.clip(np.searchsorted(EDGES, value, side="right") - 1, 0, bins - 1)
    sums.histogram[:] += np.bincount(feature * bins + place, minlength=features * bins).reshape(
        features, bins
    )


def density(sums: Sums) -> Float[np.ndarray, " feature"]:
    """The share of rows in which each feature fires.

    Formula: #{a > 0} / N
    Range: 0 to 1; NaN before any row
    Better: neither
    """
    with np.errstate(invalid="ignore"):
        return sums.firings / np.float64(sums.rows[0])


def purity(top: Int[np.ndarray, "feature example"]) -> Float[np.ndarray, " feature"]:
    """The share of the commonest token among each feature's top examples (20 of them by habit; −1
    marks an absent one).

    Formula: max over tokens of #{top examples that end on the token} / #{top examples}
    Range: 1/20 to 1 for 20 examples; NaN without any
    Better: neither: a pure feature is lexical, not necessarily good
    """
    present = top >= 0
    matches = ((top[:, :, None] == top[:, None, :]) & present[:, :, None]).sum(2)
    with np.errstate(invalid="ignore"):
        return matches.max(1, initial=0) / present.sum(1)
