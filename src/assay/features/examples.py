"""The firings worth looking at: the strongest of every feature, and an even sample of all, each
with its context.

`keep` is a streaming selection: it holds at most `most` firings per feature, whatever the number of
rows. A firing is a row (one token of one sequence), a feature and a value; `Text` says where the
rows stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

BEFORE, AFTER = 10, 5
"""Tokens of context shown on each side of the firing one."""


@dataclass(frozen=True)
class Text:
    """The tokens, and for every row of activations the sequence and position it was read at."""

    tokens: Int[np.ndarray, "sequence position"]
    sequence: Int[np.ndarray, " row"]
    position: Int[np.ndarray, " row"]


@dataclass(frozen=True)
class Kept:
    """Selected firings, by feature and then by falling priority; `bar` is what a new firing of each
    feature must reach."""

    feature: Int[np.ndarray, " kept"]
    row: Int[np.ndarray, " kept"]
    value: Float[np.ndarray, " kept"]
    priority: Float[np.ndarray, " kept"]
    bar: Float[np.ndarray, " feature"]


def nothing(features: int) -> Kept:
    """An empty selection for a dictionary of `features` entries."""
    none = np.zeros(0)
    return Kept(
        none.astype(np.int64), none.astype(np.int64), none, none, np.full(features, -np.inf)
    )


def keep(
    selection: Kept,
    feature: Int[np.ndarray, " firing"],
    row: Int[np.ndarray, " firing"],
    value: Float[np.ndarray, " firing"],
    priority: Float[np.ndarray, " firing"],
    most: int,
    sequence: Int[np.ndarray, " row"] | None = None,
) -> Kept:
    """The `most` firings of greatest priority per feature among `kept` and the new ones; given
    `sequence`, one per sequence.

    Ties go to the earlier row, so the selection does not depend on how the firings were cut into
    chunks."""
    new = (value > 0) & (
        priority >= selection.bar[feature]
    )  # nearly all of a late chunk is dropped here, before any sorting
    feature, row, value, priority = (
        np.concatenate([old, fresh[new]])
        for old, fresh in zip(
            (selection.feature, selection.row, selection.value, selection.priority),
            (feature, row, value, priority),
            strict=True,
        )
    )
    order = np.lexsort((row, -priority, feature))
    if sequence is not None:
        pair = feature[order] * (sequence.max(initial=0) + 1) + sequence[row[order]]
        order = order[np.sort(np.unique(pair, return_index=True)[1])]
    sorted_feature = feature[order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_feature, sorted_feature)
    order, last = order[rank < most], order[rank == most - 1]
    bar = np.full(len(selection.bar), -np.inf)
    bar[feature[last]] = priority[last]
    return Kept(feature[order], row[order], value[order], priority[order], bar)


def sampling_priority(
    feature: Int[np.ndarray, " firing"], row: Int[np.ndarray, " firing"], seed: int
) -> Float[np.ndarray, " firing"]:
    """A uniform number in [0, 1) for each firing, the same in any chunking: with it as priority,
    `keep` draws an even sample.

    Formula: splitmix64 of row and feature (a counter-based generator would need the firings in a
    fixed order)"""
    with np.errstate(over="ignore"):
        z = (row.astype(np.uint64) << np.uint64(24)) ^ feature.astype(np.uint64)
        z += np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z + np.uint64(0x9E3779B97F4A7C15)) ^ (z >> np.uint64(shift))
            z *= np.uint64(factor)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53


def table(
    selection: Kept, features: Int[np.ndarray, " chosen"], most: int
) -> Int[np.ndarray, "chosen most"]:
    """The rows kept for each of `features`, greatest priority first, −1 where there are fewer than
    `most`."""
    rows = np.full((len(features), most), -1, np.int64)
    for i, f in enumerate(features):
        a, b = np.searchsorted(selection.feature, [f, f + 1])
        rows[i, : min(b - a, most)] = selection.row[a : min(b, a + most)]
    return rows


def quarters(
    values: Float[np.ndarray, " sample"], per_quarter: int
) -> list[Int[np.ndarray, " picked"]]:
    """Places of up to `per_quarter` sampled firings in every quarter of the activation
    distribution, highest quarter first.

    The sample is even, so its quarters estimate those of all firings; within a quarter the first
    sampled are taken."""
    order = np.argsort(-values, kind="stable")
    return [np.sort(part)[:per_quarter] for part in np.array_split(order, 4)]


def windows(text: Text, rows: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape offset"]:
    """Flat indices into `text.tokens` of the context −10 … +5 around each row; −1 beyond its
    sequence's ends and for row −1."""
    length = text.tokens.shape[1]
    positions = text.position[rows][..., None] + np.arange(-BEFORE, AFTER + 1)
    inside = (positions >= 0) & (positions < length) & (rows >= 0)[..., None]
    return np.where(
        inside, text.sequence[rows][..., None].astype(np.int64) * length + positions, -1
    )
