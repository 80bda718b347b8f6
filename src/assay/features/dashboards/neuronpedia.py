"""Neuronpedia's export files: one JSON object a line, the larger ones packed, laid out as its
importer reads them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from assay.features.index.about import About

JSON = dict[str, Any]
SAME = (
    "neuron_alignment_indices",
    "neuron_alignment_values",
    "neuron_alignment_l1",
    "correlated_neurons_indices",
    "correlated_neurons_pearson",
    "correlated_neurons_l1",
    "correlated_features_indices",
    "correlated_features_pearson",
    "correlated_features_l1",
    "neg_str",
    "neg_values",
    "pos_str",
    "pos_values",
    "frac_nonzero",
    "freq_hist_data_bar_heights",
    "freq_hist_data_bar_values",
    "logits_hist_data_bar_heights",
    "logits_hist_data_bar_values",
    "decoder_weights_dist",
)
"""Fields of a feature that SAEDashboard and Neuronpedia name alike."""


def write(folder: Path, batches: Iterable[JSON], about: About, created: str, creator: str) -> Path:
    """Write batches of SAEDashboard as Neuronpedia's files, into model/source under a folder; the
    folder of the source.

    `created` is a time in ISO 8601, `creator` the id that Neuronpedia gave its owner.
    """
    to = folder
    for number, batch in enumerate(batches):
        model, kind = batch["model_id"], batch["sae_set"]
        source = f"{batch['layer']}-{kind}"
        if to == folder:
            to = folder / model / source
            for part in ("features", "activations"):
                (to / part).mkdir(parents=True, exist_ok=True)
            by: JSON = {"creatorId": creator, "createdAt": created}
            _lines(to / "release.jsonl", [_release(kind, about, by)])
            _lines(to / "model.jsonl", [_model(model, about, by)])
            _lines(to / "sourceset.jsonl", [_set(model, kind, about, by)])
            _lines(to / "source.jsonl", [_source(model, kind, source, about, by)])
        features = [_feature(f, model, source, kind, about, by) for f in batch["features"]]
        activations = [a for f in batch["features"] for a in _activations(f, model, source, by)]
        _lines(to / "features" / f"batch-{number}.jsonl.gz", features)
        _lines(to / "activations" / f"batch-{number}.jsonl.gz", activations)
    return to


def _lines(path: Path, rows: Sequence[JSON]) -> None:
    data = "".join(
        json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows
    ).encode("utf-8", "replace")
    path.write_bytes(gzip.compress(data, 5, mtime=0) if path.suffix == ".gz" else data)


def _feature(f: JSON, model: str, source: str, kind: str, about: About, by: JSON) -> JSON:
    strongest = max((max(a["values"]) for a in f["activations"]), default=0.0)
    return {
        "modelId": model,
        "layer": source,
        "index": str(f["feature_index"]),
        **by,
        "maxActApprox": strongest,
        "hasVector": bool(f["vector"]),
        "vector": f["vector"],
        "vectorLabel": None,
        "vectorDefaultSteerStrength": strongest if f["vector"] else 10.0,
        "hookName": about.site_out if f["vector"] else None,
        "topkCosSimIndices": [],
        "topkCosSimValues": [],
        **{name: f[name] for name in SAME},
        "sourceSetName": kind,
    }


def _activations(f: JSON, model: str, source: str, by: JSON) -> list[JSON]:
    rows = []
    for place, a in enumerate(f["activations"]):
        strongest = max(a["values"])
        key = hashlib.sha256(f"{model}/{source}/{f['feature_index']}/{place}".encode()).hexdigest()
        rows.append(
            {
                "id": f"c{key[:24]}",
                "tokens": a["tokens"],
                "modelId": model,
                "layer": source,
                "index": str(f["feature_index"]),
                "maxValue": strongest,
                "maxValueTokenIndex": a["values"].index(strongest),
                "minValue": min(a["values"]),
                "values": a["values"],
                "dfaValues": [],
                "dfaTargetIndex": None,
                "dfaMaxValue": None,
                **by,
                "lossValues": [],
                "logitContributions": None,
                "binMin": a["bin_min"],
                "binMax": a["bin_max"],
                "binContains": a["bin_contains"],
                "qualifyingTokenIndex": a["qualifying_token_index"],
                "dataIndex": None,
                "dataSource": None,
            }
        )
    return rows


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
