"""The measures that feature cards are made of, and the cards from these measures.

`measurements` runs next to the model and returns arrays; they are stored with the arm. `cards`
rebuilds the cards from those measures alone, so a report needs no model. Which features have
examples is settled by lot before anyone has looked at them: `draw` orders all features that fire
often enough by seed, the first twenty are the drawn cards, the next are for browsing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import xr
from assay.features import effects, statistics
from assay.features.card import Example, FeatureCard, Group
from assay.train import rng

LEAST = 20
"""A feature with fewer firings is not drawn: its top twenty would be all there is."""
TOP, EACH, LOGITS = 20, 3, 10
"""Top examples, examples per quarter of the activation distribution, and promoted or suppressed
tokens on a card."""

Firings = tuple[
    Int[np.ndarray, " firing"], Int[np.ndarray, " firing"], Float[np.ndarray, " firing"]
]
"""One chunk of sparse activations: row, feature and value of every firing."""


def draw(firings: Int[np.ndarray, " feature"], seed: int) -> Int[np.ndarray, " drawn"]:
    """The features with at least 20 firings, in an order that only `seed` decides."""
    order = rng.permutation(np.array([seed]), "feature cards", 0, len(firings))[0]
    return order[firings[order] >= LEAST]


def measurements(
    firings: Sequence[Firings],
    text: Text,
    *,
    strings: Callable[[int], str],
    documents: Sequence[str],
    decoder: Float[np.ndarray, "feature d"],
    unembedding: Float[np.ndarray, "d vocabulary"],
    norm: Float[np.ndarray, " d"] | None,
    seed: int,
    count: int = 320,
) -> tuple[dict[str, tuple[str, np.ndarray, str]], dict[str, list]]:
    """The arrays of one dictionary's cards as `measures` takes them (one run), and the coordinates
    naming tokens and documents.

    `firings` covers all rows of `text` and is read twice; `strings` turns a token id into text;
    `documents` names each sequence. Statistics are for every feature, examples for the first
    `count` that `draw` gives."""
    features = len(decoder)
    sums, top, sample = _selected(firings, features, text, seed)
    ends = text.tokens[text.sequence, text.position]
    all_top = table(top, np.arange(features), TOP)
    card_features = draw(sums.firings, seed)[:count]
    rows = _example_rows(all_top, sample, card_features)
    places = windows(text, rows)
    logit_ids, logits = effects.extremes(
        effects.direct_logits(decoder[card_features], unembedding, norm), LOGITS
    )
    ids = np.where(places < 0, -1, text.tokens.reshape(-1)[places])
    words = np.unique(np.concatenate([ids[ids >= 0], logit_ids.reshape(-1)]))
    names, source = np.unique(np.asarray(documents), return_inverse=True)
    purity = statistics.purity(np.where(all_top < 0, -1, ends[all_top]))
    tokens = np.where(ids < 0, -1, np.searchsorted(words, ids))
    activations = _activations(firings, features, card_features, places, text)
    sources = np.where(rows < 0, -1, source[text.sequence[rows]])
    positions = np.where(rows < 0, -1, text.position[rows])
    # name, dims after the run, values, type and unit
    columns = (
        ("firings", "feature", sums.firings, np.int32, "rows"),
        ("maximum", "feature", sums.maximum, np.float32, "activation"),
        ("purity", "feature", purity, np.float32, "1"),
        ("histogram", "card bin", sums.histogram[card_features], np.int32, "rows"),
        ("token", "card example offset", tokens, np.int32, "token"),
        ("activation", "card example offset", activations, np.float16, "activation"),
        ("source", "card example", sources, np.int32, "document"),
        ("position", "card example", positions, np.int32, "tokens"),
        ("word", "card sign rank", np.searchsorted(words, logit_ids), np.int32, "token"),
        ("logit", "card sign rank", logits, np.float32, "logits per unit activation"),
    )
    arrays = {"card_rows": ("run", sums.rows, "rows")}
    arrays |= {
        f"card_{name}": (f"run {dims}", values.astype(kind)[None], unit)
        for name, dims, values, kind, unit in columns
    }
    return arrays, {
        "card": [int(f) for f in card_features],
        "token": [strings(int(w)) for w in words],
        "source": names.tolist(),
    }


def _selected(
    firings: Sequence[Firings], features: int, text: Text, seed: int
) -> tuple[statistics.Sums, Kept, Kept]:
    """Sums over all firings, the strongest of each feature, and an even sample of them."""
    sums = statistics.start(features)
    top = sample = nothing(features)
    for row, feature, value in _larger(firings):
        statistics.update(sums, feature, value, 0)
        top = keep(top, feature, row, value, value, TOP, text.sequence)
        priority = sampling_priority(feature, row, seed)
        sample = keep(sample, feature, row, value, priority, 64)
    sums.rows[0] = len(text.sequence)
    return sums, top, sample


def _example_rows(
    all_top: Int[np.ndarray, "feature top"],
    sample: Kept,
    card_features: Int[np.ndarray, " card"],
) -> Int[np.ndarray, "card example"]:
    """The rows that each card shows: the strongest, then some of every quarter; −1 for none."""
    rows = np.full((len(card_features), TOP + 4 * EACH), -1, np.int64)
    rows[:, :TOP] = all_top[card_features]
    lower = table(sample, card_features, 64)
    for i, f in enumerate(card_features):
        a, b = np.searchsorted(sample.feature, [f, f + 1])
        for q, picked in enumerate(quarters(sample.value[a:b], EACH)):
            rows[i, TOP + EACH * q :][: len(picked)] = lower[i][picked]
    return rows


def _larger(firings: Sequence[Firings], least: int = 1 << 20) -> Iterator[Firings]:
    """Join firings into chunks of at least `least`: `keep` sorts all it holds each time, so few
    large chunks are cheaper."""
    held: list[Firings] = []
    for chunk in firings:
        held.append(chunk)
        if sum(len(row) for row, _, _ in held) >= least:
            yield tuple(np.concatenate(part) for part in zip(*held, strict=True))  # type: ignore[misc]
            held = []
    if held:
        yield tuple(np.concatenate(part) for part in zip(*held, strict=True))  # type: ignore[misc]


def _activations(
    firings: Sequence[Firings],
    features: int,
    card_features: Int[np.ndarray, " card"],
    places: Int[np.ndarray, "card example offset"],
    text: Text,
) -> Float[np.ndarray, "card example offset"]:
    """Each shown feature's activation at the places of its windows, 0 where it does not fire or the
    row was left out."""
    slot = np.full(features, -1)
    slot[card_features] = np.arange(len(card_features))
    flat = text.sequence.astype(np.int64) * text.tokens.shape[1] + text.position
    firing_places = [(slot[f], flat[r], v) for r, f, v in firings]
    keys = np.concatenate(
        [
            card[card >= 0] * text.tokens.size + position[card >= 0]
            for card, position, _ in firing_places
        ]
        or [np.zeros(0, np.int64)]
    )
    values = np.concatenate([value[card >= 0] for card, _, value in firing_places] or [np.zeros(0)])
    order = np.argsort(keys, kind="stable")
    keys, values = np.append(keys[order], -1), np.append(values[order], 0.0)
    queries = np.arange(len(card_features))[:, None, None] * text.tokens.size + places
    index = np.searchsorted(keys[:-1], queries)
    return np.where((places >= 0) & (keys[index] == queries), values[index], 0.0).astype(np.float16)


def cards(arm: xr.Dataset, seed: int, count: int = 20, *, source: str = "") -> list[FeatureCard]:
    """Cards from stored measures: `count` drawn by `seed` among features with at least 20 firings,
    then the rest for browsing.

    `source` is the address without the index: model/site. With the seed that the measures were
    taken with, the drawn are the first of all features by lot; with another, a lot among those
    stored."""
    if "card_token" not in arm:
        return []
    run_measures = arm.isel(run=0)
    index_by_feature = {int(f): i for i, f in enumerate(run_measures["card"].values)}
    order = [
        int(f)
        for f in draw(run_measures["card_firings"].values, seed)
        if int(f) in index_by_feature
    ]
    reader = {
        name: run_measures[name].values
        for name in run_measures.variables
        if str(name).startswith("card_") or name in ("token", "source")
    }
    return [_card(reader, f, index_by_feature[f], i < count, source) for i, f in enumerate(order)]


def _card(m: dict, feature: int, i: int, is_drawn: bool, source: str) -> FeatureCard:
    """The card of one stored feature."""
    listed = [_example(m, i, e) for e in range(m["card_token"].shape[1])]
    groups = []
    for q, name in enumerate(
        ("highest quarter", "second quarter", "third quarter", "lowest quarter")
    ):
        members = tuple(e for e in listed[TOP + EACH * q : TOP + EACH * (q + 1)] if e is not None)
        if members:
            groups.append(Group(name, members))
    promoted, suppressed = (
        tuple(
            (str(m["token"][w]), float(x))
            for w, x in zip(m["card_word"][i, s], m["card_logit"][i, s], strict=True)
        )
        for s in (0, 1)
    )
    counts = m["card_histogram"][i]
    used = np.flatnonzero(counts)
    a, b = (used[0], used[-1] + 1) if len(used) else (0, 1)
    firings, rows = int(m["card_firings"][feature]), int(m["card_rows"])
    return FeatureCard(
        address=f"{source}/{feature}" if source else str(feature),
        index=feature,
        drawn=is_drawn,
        firings=firings,
        density=firings / rows,
        maximum=float(m["card_maximum"][feature]),
        purity=float(m["card_purity"][feature]),
        edges=tuple(float(e) for e in statistics.EDGES[a : b + 1]),
        counts=tuple(int(c) for c in counts[a:b]),
        top=tuple(e for e in listed[:TOP] if e is not None),
        groups=tuple(groups),
        promoted=promoted,
        suppressed=suppressed,
    )


def _example(m: dict, i: int, e: int) -> Example | None:
    """One stored example, without the places beyond the ends of its sequence."""
    if m["card_position"][i, e] < 0:
        return None
    inside = np.flatnonzero(m["card_token"][i, e] >= 0)
    return Example(
        tokens=tuple(str(m["token"][t]) for t in m["card_token"][i, e][inside]),
        activations=tuple(float(a) for a in m["card_activation"][i, e][inside]),
        at=int(np.searchsorted(inside, BEFORE)),
        document=str(m["source"][m["card_source"][i, e]]),
        position=int(m["card_position"][i, e]),
    )


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
