"""SAEDashboard's batches: a folder of JSON files that its own loader and Neuronpedia's converter
read.

Examples in groups, as sae_vis and its successors show them: the strongest, then equal-width
intervals of the activation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.features.index.about import About
from assay.features.index.firings import Block, Firings
from assay.features.index.reader import Index
from assay.features.index.schema import BINS
from assay.subjects.site import Site

JSON = dict[str, Any]
BATCH = 100
"""Features of a file."""
ROWS = 3
"""Aligned and correlated neurons and features that a dashboard lists."""
DIGITS = 5
"""Decimal places of lists, as SAEDashboard rounds them."""


def batches(
    index: Index,
    firings: Firings,
    numbers: Sequence[int],
    decoder: Float[np.ndarray, "f d"],
    name: str,
) -> Iterator[JSON]:
    """Make the batches of some features; `name` is what the set of dictionaries is called,
    `decoder` their directions.

    Layout: what NeuronpediaDashboardBatch of sae_dashboard takes. The histogram of logits is empty
    for an index made before it was kept."""
    for a in range(0, len(numbers), BATCH):
        some = numbers[a : a + BATCH]
        yield {
            "model_id": index.about.address.split("/")[0],
            "layer": layer(index.about.site),
            "sae_set": name,
            "sae_id_suffix": None,
            "features": [
                _feature(index, number, feature_groups, decoder)
                for number, feature_groups in groups(firings, some)
            ],
        }


def write(
    folder: Path,
    batches: Iterable[JSON],
    index: Index,
    numbers: Sequence[int],
    effects: Sequence[JSON],
) -> None:
    """Write batches, what was left out, the settings, and beside them assay.json with what the
    format has no place for."""
    about, kind = index.about, ""
    for number, batch in enumerate(batches):
        kind = batch["sae_set"]
        (folder / f"batch-{number}.json").write_text(
            dumped(batch), encoding="utf-8", errors="replace"
        )
    model = about.address.split("/")[0]
    skipped = sorted(set(range(about.d_sae)) - set(numbers))
    settings = {
        "model_id": model,
        "layer": layer(about.site),
        "sae_set": kind,
        "hook_name": about.site,
        "huggingface_dataset_path": about.corpus,
        "n_prompts_total": about.windows,
        "n_tokens_in_prompt": about.context,
        "dictionary_sha256": about.dictionary,
    }
    skip_record = {
        "model_id": model,
        "layer": str(layer(about.site)),
        "sae_set": kind,
        "log_sparsity": None,
        "skipped_indexes": skipped,
    }
    for name, value in (
        ("run_settings", settings),
        ("skipped_indexes", skip_record),
        ("assay", {"features": list(effects)}),
    ):
        (folder / f"{name}.json").write_text(dumped(value), encoding="utf-8", errors="replace")


def dumped(value: JSON) -> str:
    """A batch as text; reading it and writing it again gives the same bytes."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def layer(site: str) -> int:
    """The block that a site belongs to; 0 where it belongs to none."""
    match = re.match(r"blocks\.(\d+)\.", site)
    return int(match[1]) if match else 0


def effects(index: Index, firings: Firings, numbers: Sequence[int]) -> list[JSON]:
    """What SAEDashboard's files have no place for: every number of the index, and effects on the
    loss at each token of each example.

    `delta_ce` is the rise of the loss of all later tokens when the feature is taken out at a token,
    in nats, to first order: above 0 the feature helps. `saevis_loss_effect` is the same with
    sae_vis's sign, the original loss minus the one without: below 0 it helps. Examples are in the
    order of the batches."""
    return [
        {
            "feature_index": number,
            "numbers": dict(index.feature(number).numbers),
            "activations": [
                {
                    "window": e.window,
                    "delta_ce": rises,
                    "saevis_loss_effect": None
                    if rises is None
                    else [0.0 - value for value in rises],
                }
                for group in feature_groups
                for e in group.examples
                for rises in (None if e.effects is None else _rounded(e.effects, 8),)
            ],
        }
        for number, feature_groups in groups(firings, numbers)
    ]


def _feature(
    index: Index, number: int, feature_groups: Sequence[Group], decoder: Float[np.ndarray, "f d"]
) -> JSON:
    feature = index.feature(number)
    n, near = feature.numbers, feature.neighbours
    edges, logit_edges = np.linspace(0, n["maximum"] or 0.0, BINS + 1), feature.logit_edges
    axis, neuron, other = (
        [row for row in near if row["kind"] == kind][:ROWS]
        for kind in ("axis", "neuron", "feature")
    )
    if not _reads_neurons(index.about):
        neuron = []
    words = index.words(
        {
            int(t)
            for group in feature_groups
            for e in group.examples
            for t in index.windows[e.window]
        }
    )
    return {
        "feature_index": number,
        "neuron_alignment_indices": [row["other"] for row in axis],
        "neuron_alignment_values": _column(axis, "value"),
        "neuron_alignment_l1": _column(axis, "share"),
        "correlated_neurons_indices": [row["other"] for row in neuron],
        "correlated_neurons_l1": _column(neuron, "cosine"),
        "correlated_neurons_pearson": _column(neuron, "pearson"),
        "correlated_features_indices": [row["other"] for row in other],
        "correlated_features_l1": _column(other, "cosine"),
        "correlated_features_pearson": _column(other, "pearson"),
        "neg_str": [text for text, _ in feature.suppressed],
        "neg_values": _rounded([value for _, value in feature.suppressed]),
        "pos_str": [text for text, _ in feature.promoted],
        "pos_values": _rounded([value for _, value in feature.promoted]),
        "frac_nonzero": round(n["density"], DIGITS),
        "freq_hist_data_bar_values": _middles(edges) if n["firings"] else [],
        "freq_hist_data_bar_heights": [float(count) for count in n["histogram"]]
        if n["firings"]
        else [],
        "logits_hist_data_bar_values": _middles(logit_edges),
        "logits_hist_data_bar_heights": [float(count) for count in n["logit_histogram"] or []],
        "n_prompts_total": index.about.windows,
        "n_tokens_in_prompt": index.about.context,
        "dataset": index.about.corpus,
        "decoder_weights_dist": [],
        "activations": [
            _activation(index, words, group, example)
            for group in feature_groups
            for example in group.examples
        ],
        "vector": _rounded(decoder[number] * (n["decoder_norm"] or 0.0)),
    }


def _reads_neurons(about: About) -> bool:
    """Whether the activations that the dictionary reads are the neurons that an index correlates
    features with.

    SAEDashboard's correlated neurons are those activations; an index reads the MLP's hidden layer,
    whatever the site."""
    return about.site == about.site_out and Site.parse(about.site).kind == "mlp_post"


def _activation(index: Index, words: Mapping[int, str], group: Group, example: Example) -> JSON:
    return {
        "bin_min": round(group.low, DIGITS),
        "bin_max": round(group.high, DIGITS),
        "bin_contains": round(group.share, DIGITS),
        "tokens": [words[int(token)] for token in index.windows[example.window]],
        "values": _rounded(example.values),
        "qualifying_token_index": example.position,
    }


def _middles(edges: Sequence[float] | np.ndarray) -> list[float]:
    return _rounded([(low + high) / 2 for low, high in pairwise(edges)])


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return _rounded([row[name] for row in rows])


def _rounded(values: Any, digits: int = DIGITS) -> list[float]:
    return [round(float(value), digits) for value in values]


TOP, GROUPS, EACH = 20, 5, 5
"""Strongest examples, intervals, and examples drawn from each."""
LEAST = 1e-6
"""Lower edge of the lowest interval for what is drawn: zeros are no example."""


@dataclass(frozen=True, eq=False)
class Example:
    """One window of the text and a feature's activation at each of its tokens."""

    window: int
    position: int
    """Where the firing is that the example was drawn for."""
    values: Float[np.ndarray, " s"]
    effects: Float[np.ndarray, " s"] | None
    """Rise of the loss of all later tokens, in nats and to first order, if the feature were taken
    out at that token."""


@dataclass(frozen=True, eq=False)
class Group:
    """Examples of one kind. Of the strongest, `low` and `share` are −1 and `high` is the maximum,
    as SAEDashboard marks them."""

    low: float
    high: float
    share: float
    """Share of all tokens, zeros included, with an activation from `low` to `high`."""
    examples: tuple[Example, ...]


def groups(
    firings: Firings, numbers: Sequence[int], seed: int = 0
) -> Iterator[tuple[int, tuple[Group, ...]]]:
    """Draw each feature's examples from its firings, strongest interval first; no group of a
    feature that never fires.

    Formula: edges = linspace(0, max, GROUPS + 1); at most one of the strongest examples of each
    window"""
    tokens, token_count = firings.tokens, int(firings.kept.sum())
    for number in numbers:
        block = firings.block(number, number + 1)
        yield (
            number,
            _groups(
                block,
                tokens.shape[1],
                token_count,
                rng.generator(seed, "dashboard/examples", number),
            )
            if len(block.value)
            else (),
        )


def _groups(block: Block, length: int, tokens: int, draw: np.random.Generator) -> tuple[Group, ...]:
    maximum = float(block.value.max())
    strongest = block.strongest
    first = np.unique(block.row[strongest] // length, return_index=True)[1]
    interval_groups = [
        Group(-1, maximum, -1, _examples(block, strongest[np.sort(first)[:TOP]], length))
    ]
    edges = np.linspace(0, maximum, GROUPS + 1)
    for low, high in zip(edges[-2::-1], edges[:0:-1], strict=True):
        inside = np.flatnonzero((block.value >= max(low, LEAST)) & (block.value <= high))
        share = (len(inside) + (tokens - len(block.value) if low == 0 else 0)) / tokens
        sample = draw.choice(inside, min(EACH, len(inside)), replace=False)
        interval_groups.append(
            Group(float(low), float(high), share, _examples(block, sample, length))
        )
    return tuple(interval_groups)


def _examples(block: Block, places: Int[np.ndarray, " n"], length: int) -> tuple[Example, ...]:
    examples = []
    for place in places:
        window, position = divmod(int(block.row[place]), length)
        a, b = np.searchsorted(block.row, (window * length, (window + 1) * length))
        offsets = block.row[a:b] - window * length
        values = np.zeros(length)
        values[offsets] = block.value[a:b]
        effects = None
        if block.effect is not None:
            effects = np.zeros(length)
            effects[offsets] = block.effect[a:b]
        examples.append(Example(window, position, values, effects))
    return tuple(examples)
