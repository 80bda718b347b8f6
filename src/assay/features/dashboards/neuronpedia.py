"""Neuronpedia's export files: one JSON object a line, the larger ones packed, laid out as its
importer reads them.

Examples of a feature are the contexts that its index keeps: the strongest, then an even sample of
its firings, in quarters by rank."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from assay.features.index.about import About
from assay.features.index.reader import Index
from assay.features.index.schema import BINS, QUANTILES
from assay.features.index.values import Context, Feature

JSON = dict[str, Any]
BATCH = 100
"""Features of a file."""
ROWS = 3
"""Correlated features that a feature lists."""
DIGITS = 5
"""Decimal places of lists, as SAEDashboard rounds them."""


def write(
    folder: Path,
    index: Index,
    numbers: Sequence[int],
    decoder: Float[np.ndarray, "f d"],
    created: str,
    creator: str,
) -> Path:
    """Write features of an index as Neuronpedia's files, into model/source under a folder; the
    folder of the source.

    `decoder` has the directions of all features, `created` is a time in ISO 8601, `creator` the id
    that Neuronpedia gave its owner. The histogram of logits is empty for an index made before it
    was kept."""
    about, by = index.about, {"creatorId": creator, "createdAt": created}
    model, kind = about.address.split("/")[:2]
    source = f"{_layer(about.site)}-{kind}"
    to = folder / model / source
    for part in ("features", "activations"):
        (to / part).mkdir(parents=True, exist_ok=True)
    _lines(to / "release.jsonl", [_release(kind, about, by)])
    _lines(to / "model.jsonl", [_model(model, about, by)])
    _lines(to / "sourceset.jsonl", [_set(model, kind, about, by)])
    _lines(to / "source.jsonl", [_source(model, kind, source, about, by)])
    for batch, start in enumerate(range(0, len(numbers), BATCH)):
        features, activations = list[JSON](), list[JSON]()
        for number in numbers[start : start + BATCH]:
            feature = index.feature(number)
            place = {"modelId": model, "layer": source, "index": str(number), **by}
            examples = _activations(feature, place)
            largest = max((a["maxValue"] for a in examples), default=0.0)
            vector = _rounded(decoder[number] * (feature.numbers["decoder_norm"] or 0))
            features.append(_feature(about, feature, place, largest, vector, kind))
            activations += examples
        _lines(to / "features" / f"batch-{batch}.jsonl.gz", features)
        _lines(to / "activations" / f"batch-{batch}.jsonl.gz", activations)
    return to


def _lines(path: Path, rows: Sequence[JSON]) -> None:
    data = "".join(
        json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
    ).encode("utf-8", "replace")
    path.write_bytes(gzip.compress(data, 5, mtime=0) if path.suffix == ".gz" else data)


def _layer(site: str) -> int:
    """The block that a site belongs to; 0 where it belongs to none."""
    match = re.match(r"blocks\.(\d+)\.", site)
    return int(match[1]) if match else 0


def _feature(
    about: About, feature: Feature, place: JSON, largest: float, vector: list[float], kind: str
) -> JSON:
    n, near = feature.numbers, feature.neighbours
    edges, logit_edges = np.linspace(0, n["maximum"] or 0.0, BINS + 1), feature.logit_edges
    other = [row for row in near if row["kind"] == "feature"][:ROWS]
    return {
        **place,
        "maxActApprox": largest,
        "hasVector": bool(vector),
        "vector": vector,
        "vectorLabel": None,
        "vectorDefaultSteerStrength": largest if vector else 10.0,
        "hookName": about.site_out if vector else None,
        "topkCosSimIndices": [],
        "topkCosSimValues": [],
        "neuron_alignment_indices": [],
        "neuron_alignment_values": [],
        "neuron_alignment_l1": [],
        "correlated_neurons_indices": [],
        "correlated_neurons_pearson": [],
        "correlated_neurons_l1": [],
        "correlated_features_indices": [row["other"] for row in other],
        "correlated_features_pearson": _column(other, "pearson"),
        "correlated_features_l1": _column(other, "cosine"),
        "neg_str": [text for text, _ in feature.suppressed],
        "neg_values": _rounded([value for _, value in feature.suppressed]),
        "pos_str": [text for text, _ in feature.promoted],
        "pos_values": _rounded([value for _, value in feature.promoted]),
        "frac_nonzero": round(n["density"], DIGITS),
        "freq_hist_data_bar_heights": _heights(n["histogram"] if n["firings"] else None),
        "freq_hist_data_bar_values": _middles(edges) if n["firings"] else [],
        "logits_hist_data_bar_heights": _heights(n["logit_histogram"]),
        "logits_hist_data_bar_values": _middles(logit_edges),
        "decoder_weights_dist": [],
        "sourceSetName": kind,
    }


def _activations(feature: Feature, place: JSON) -> list[JSON]:
    address = "/".join(str(place[name]) for name in ("modelId", "layer", "index"))
    rows = []
    for number, context in enumerate(feature.contexts):
        values = _rounded(context.activations)
        key = hashlib.sha256(f"{address}/{number}".encode()).hexdigest()
        low, high, share = _interval(feature, context)
        rows.append(
            {
                "id": f"c{key[:24]}",
                "tokens": list(context.tokens),
                **place,
                "maxValue": max(values),
                "maxValueTokenIndex": values.index(max(values)),
                "minValue": min(values),
                "values": values,
                "dfaValues": [],
                "dfaTargetIndex": None,
                "dfaMaxValue": None,
                "lossValues": [],
                "logitContributions": None,
                "binMin": low,
                "binMax": high,
                "binContains": share,
                "qualifyingTokenIndex": context.at,
                "dataIndex": None,
                "dataSource": None,
            }
        )
    return rows


def _interval(feature: Feature, context: Context) -> tuple[float, float, float]:
    """The activations between which a group of examples lies, and the share of all tokens that it
    stands for; of the strongest −1, the maximum and −1, as SAEDashboard marks them."""
    n = feature.numbers
    if context.kind == "top":
        return -1, round(n["maximum"], DIGITS), -1
    middle = [n["quantiles"][QUANTILES.index(q)] for q in (0.75, 0.5, 0.25)]
    edges = [n["maximum"], *middle, 0.0]
    quarter = min(3, int(4 * (1 - context.share)))
    low, high, share = edges[quarter + 1], edges[quarter], n["density"] / 4
    return round(low, DIGITS), round(high, DIGITS), round(share, DIGITS)


def _release(kind: str, about: About, by: JSON) -> JSON:
    words = f"{about.name} on {about.model_words}"
    return {
        "name": kind,
        "description": words,
        "descriptionShort": words,
        "urls": [],
        "creatorName": "",
        "creatorNameShort": "",
        **by,
    }


def _model(model: str, about: About, by: JSON) -> JSON:
    return {
        "id": model,
        "instruct": model.endswith(("-it", "-instruct")),
        "displayNameShort": model,
        "displayName": about.model_words,
        "layers": 0,
        "neuronsPerLayer": 0,
        "owner": "",
        "updatedAt": by["createdAt"],
        **by,
    }


def _set(model: str, kind: str, about: About, by: JSON) -> JSON:
    return {
        "modelId": model,
        "name": kind,
        "creatorName": "",
        "releaseName": kind,
        "description": f"{about.name} at {about.site}",
        "visibility": "PUBLIC",
        **by,
    }


def _source(model: str, kind: str, source: str, about: About, by: JSON) -> JSON:
    return {
        "id": source,
        "modelId": model,
        "setName": kind,
        "visibility": "PUBLIC",
        "dataset": about.corpus,
        "num_prompts": about.windows,
        "num_tokens_in_prompt": about.context,
        "hfRepoId": None,
        "hfFolderId": None,
        "hasDashboards": True,
        **by,
    }


def _heights(counts: Sequence[int] | None) -> list[float]:
    return [float(count) for count in counts or []]


def _middles(edges: Sequence[float] | np.ndarray) -> list[float]:
    return _rounded([(low + high) / 2 for low, high in pairwise(edges)])


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return _rounded([row[name] for row in rows])


def _rounded(values: Any) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
