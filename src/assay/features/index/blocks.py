"""What the firings of a block of features say of each: how often, how strongly, on which tokens, in
which contexts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import scipy
from assay.dictionaries.measuring.rarity import BOUNDS
from assay.features import statistics
from assay.features.index.firings import Block
from assay.features.index.schema import AFTER, BEFORE, BINS, COMPANIONS, EVEN, TOP

Arrays = dict[str, np.ndarray]
LEAST = 6
"""Fewer documents carry no interval."""


@dataclass(frozen=True, eq=False)
class Text:
    """The text that firings are on, in memory: tokens, documents, the tokens that count, and how
    often each token occurs there."""

    tokens: Int[np.ndarray, "w s"]
    document: Int[np.ndarray, " w"]
    kept: Bool[np.ndarray, "w s"]
    counts: Int[np.ndarray, " vocabulary"]

    @property
    def rows(self) -> int:
        """Tokens that count."""
        return int(self.kept.sum())


def numbers(block: Block, first: int, features: int, text: Text) -> Arrays:
    """The columns of `features` that follow from firings alone, for features `first` to `first +
    features − 1`.

    Formula: `gradient_total` = Σ effect / tokens"""
    f, value, rows = block.feature - first, block.value.astype(np.float64), text.rows
    firings = np.bincount(f, minlength=features)
    total = np.bincount(f, value, features)
    starts = np.concatenate([[0], np.cumsum(firings)])
    falling = value[block.strongest]
    maximum = np.zeros(features)
    fires = firings > 0
    maximum[fires] = falling[starts[:-1][fires]]
    bins = np.minimum((value / np.where(fires, maximum, 1)[f] * BINS).astype(int), BINS - 1)
    documents = int(text.document.max(initial=0)) + 1
    begins = _windows(f, block.row // text.tokens.shape[1])
    window = block.row[begins] // text.tokens.shape[1]
    document_keys = _distinct(f[begins].astype(np.int64) * documents + text.document[window])
    with np.errstate(invalid="ignore", divide="ignore"):
        columns: Arrays = {
            "feature": np.arange(first, first + features, dtype=np.int32),
            "firings": firings,
            "density": firings / np.float64(rows),
            "documents": np.bincount(document_keys // documents, minlength=features).astype(
                np.int32
            ),
            "maximum": maximum,
            "mean": np.where(fires, total / firings, np.nan),
            "histogram": np.bincount(f * BINS + bins, minlength=features * BINS)
            .reshape(features, BINS)
            .astype(np.int32),
        }
        if block.effect is not None:
            effect = np.bincount(f, block.effect.astype(np.float64), features)
            columns |= {
                "gradient_total": effect / np.float64(rows),
                "gradient_active": np.where(fires, effect / firings, np.nan),
            }
            document = text.document[block.row // text.tokens.shape[1]]
            columns |= _limits(f, document, block.effect.astype(np.float64), features)
    return columns


def _limits(
    f: Int[np.ndarray, " n"],
    document: Int[np.ndarray, " n"],
    effect: Float[np.ndarray, " n"],
    features: int,
) -> Arrays:
    """The 95% interval of Σ effect / firings over documents, for each feature; NaN in fewer than
    `LEAST` documents.

    Formula: r ± t √(m/(m−1) Σ_d (E_d − r n_d)²) / Σ n_d over the m documents in which it is on; t
    of m − 1 degrees of freedom"""
    order = np.lexsort((document, f))
    f, document, effect = f[order], document[order], effect[order]
    begins = _windows(f, document)
    owner, of_document = f[begins], np.add.reduceat(effect, begins) if len(begins) else effect
    count = np.diff(np.append(begins, len(f))).astype(np.float64)
    m, n = np.bincount(owner, minlength=features), np.bincount(owner, count, features)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.bincount(owner, of_document, features) / n
        residual = np.bincount(owner, (of_document - ratio[owner] * count) ** 2, features)
        half = (
            scipy.special.stdtrit(np.maximum(m - 1, 1), 0.975) * np.sqrt(m / (m - 1) * residual) / n
        )
    low, high = (np.where(m >= LEAST, ratio + side * half, np.nan) for side in (-1, 1))
    return {"gradient_low": low, "gradient_high": high}


def _windows(f: Int[np.ndarray, " n"], window: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Places where a feature's firings in another window begin."""
    return np.flatnonzero(
        np.concatenate([[True], (f[1:] != f[:-1]) | (window[1:] != window[:-1])])[: len(f)]
    )


def _distinct(keys: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Distinct keys, rising: NumPy's `unique` hashes integers, many times slower than sorting
    them."""
    keys = np.sort(keys)
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]]


def classes(density: Float[np.ndarray, " f"]) -> list[str]:
    """The class of each density, in words, by the bounds of `rarity`."""
    names = np.array(["ultra-rare", "rare", "ordinary", "dense"])
    bounds = list(BOUNDS.values())
    place = np.searchsorted(bounds, density, side="right")
    place = np.where(density == bounds[-1], len(bounds) - 1, place)
    return [str(name) for name in np.where(density == 0, "dead", names[place])]


def by_token(block: Block, first: int, features: int, text: Text) -> tuple[Arrays, Arrays]:
    """The tokens that each feature fires on most, as rows of `feature_tokens` and as the columns
    `token` and `token_share`."""
    vocabulary = len(text.counts)
    token = text.tokens.ravel()[block.row].astype(np.int64)
    pair, count = np.unique(
        (block.feature - first).astype(np.int64) * vocabulary + token, return_counts=True
    )
    f, token = np.divmod(pair, vocabulary)
    order = np.lexsort((token, -count, f))
    f, token, count = f[order], token[order], count[order]
    rank = np.arange(len(f)) - np.searchsorted(f, f)
    chosen = rank < COMPANIONS
    f, token, count, rank = f[chosen], token[chosen], count[chosen], rank[chosen]
    firings = np.bincount(block.feature - first, minlength=features)
    table = {
        "feature": (f + first).astype(np.int32),
        "rank": rank.astype(np.int32),
        "token": token.astype(np.int32),
        "firings": count.astype(np.int32),
        "share": count / firings[f],
        "recall": count / text.counts[token],
    }
    commonest, share = np.full(features, -1), np.full(features, np.nan)
    commonest[f[rank == 0]], share[f[rank == 0]] = token[rank == 0], table["share"][rank == 0]
    return table, {"token": commonest.astype(np.int32), "token_share": share}


def contexts(
    block: Block, first: int, features: int, text: Text
) -> tuple[Arrays, Float[np.ndarray, " f"]]:
    """Rows of `contexts`, `tokens`, `activations` and `effects` as [row, offset] with −1 beyond the
    window's ends; and the purity of each feature.

    The strongest firings are one a window: the first of a window's strongest. The even ones are
    evenly spaced by rank."""
    length = text.tokens.shape[1]
    f = (block.feature - first).astype(np.int64)
    strongest_first = block.strongest
    firings = np.bincount(f, minlength=features)
    starts = np.concatenate([[0], np.cumsum(firings)])
    rank = np.empty(len(f), np.int64)
    rank[strongest_first] = np.arange(len(f)) - starts[f[strongest_first]]
    top = _one_a_window(strongest_first, starts, block.row // length)
    even = np.minimum(firings, EVEN)
    owner = np.repeat(np.arange(features), even)
    nth = np.arange(even.sum()) - np.repeat(np.cumsum(even) - even, even)
    spaced = strongest_first[
        starts[owner] + ((nth + 0.5) * firings[owner] / even[owner]).astype(np.int64)
    ]
    chosen = np.concatenate([top, spaced])
    kind = np.repeat(["top", "even"], [len(top), len(spaced)])
    place = np.concatenate([np.arange(len(top)) - np.searchsorted(f[top], f[top]), nth])
    order = np.lexsort((place, kind != "top", f[chosen]))
    chosen, kind, place = chosen[order], kind[order], place[order]
    window, position = np.divmod(block.row[chosen], length)
    positions = position[:, None] + np.arange(-BEFORE, AFTER + 1)
    inside = (positions >= 0) & (positions < length)
    row = np.where(inside, window[:, None] * length + positions, -1)
    index = _lookup(
        f * text.tokens.size + block.row, f[chosen][:, None] * text.tokens.size + row, row >= 0
    )
    table = {
        "feature": block.feature[chosen],
        "kind": kind,
        "rank": place.astype(np.int32),
        "share": 1 - rank[chosen] / firings[f[chosen]],
        "window": window.astype(np.int32),
        "position": position.astype(np.int32),
        "document": text.document[window].astype(np.int32),
        "value": block.value[chosen].astype(np.float64),
        "at": np.minimum(position, BEFORE).astype(np.int32),
        "tokens": np.where(inside, text.tokens.ravel()[row], -1),
        "activations": _take(block.value, index),
    }
    if block.effect is not None:
        table["effects"] = _take(block.effect, index)
    ends = np.full((features, TOP), -1)
    of_top = table["kind"] == "top"
    ends[f[chosen][of_top], place[of_top]] = text.tokens.ravel()[block.row[chosen][of_top]]
    return table, statistics.purity(ends)


def _one_a_window(
    strongest: Int[np.ndarray, " n"], starts: Int[np.ndarray, " f+1"], window: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " m"]:
    """Places of the `TOP` strongest firings of each feature that are the strongest of their window,
    strongest first."""
    remaining, looked, picks = np.arange(len(starts) - 1), 4 * TOP, []
    while len(
        remaining
    ):  # a feature that fires many times in few windows has to be looked at further down
        count = np.minimum(np.diff(starts)[remaining], looked)
        owner = np.repeat(remaining, count)
        rank = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        place = strongest[starts[owner] + rank]
        order = np.lexsort((rank, window[place], owner))
        first = order[_windows(owner[order], window[place][order])]
        first = first[np.lexsort((rank[first], owner[first]))]
        nth = np.arange(len(first)) - np.searchsorted(owner[first], owner[first])
        pick_count = np.bincount(owner[first], minlength=len(starts) - 1)[remaining]
        complete = (pick_count >= TOP) | (count == np.diff(starts)[remaining])
        finished = np.isin(owner[first], remaining[complete]) & (nth < TOP)
        picks.append(
            np.stack([owner[first][finished], rank[first][finished], place[first][finished]])
        )
        remaining, looked = remaining[~complete], looked * 4
    owner, rank, place = np.concatenate(picks, 1) if picks else np.zeros((3, 0), np.int64)
    return place[np.lexsort((rank, owner))]


def _lookup(
    keys: Int[np.ndarray, " n"], queries: Int[np.ndarray, "*any"], valid: Bool[np.ndarray, "*any"]
) -> Int[np.ndarray, "*any"]:
    """Places of the asked among rising keys, −1 where they are not."""
    if not len(keys):
        return np.full(queries.shape, -1)
    index = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(valid & (keys[index] == queries), index, -1)


def _take(
    values: Float[np.ndarray, " n"], index: Int[np.ndarray, "*any"]
) -> Float[np.ndarray, "*any"]:
    return np.where(index >= 0, values[index] if len(values) else 0.0, 0.0).astype(np.float32)
