"""Files for SAEDashboard and Neuronpedia: keys and types as those projects describe them, numbers
as the firings have them."""

from __future__ import annotations

import gzip
import json
import re
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from assay.features.dashboards import neuronpedia, saedashboard
from assay.features.dashboards import saedashboard as grouped
from assay.features.index import matching
from assay.features.index.firings import Firings
from assay.features.index.reader import Index

sys.path.insert(0, str(Path(__file__).parents[1] / "index"))
import simulated  # noqa: E402, RUF100

NUMBERS = [0, 1, 4, 7, 12]
TEXT, WHOLE, NUMBER, TEXTS, WHOLES, NUMBERS_OF = (
    "text",
    "int",
    "float",
    ["text"],
    ["int"],
    ["float"],
)
ACTIVATION = {
    "bin_min": NUMBER,
    "bin_max": NUMBER,
    "bin_contains": NUMBER,
    "tokens": TEXTS,
    "values": NUMBERS_OF,
    "qualifying_token_index": WHOLE,
}
FEATURE = {
    "feature_index": WHOLE,
    "neuron_alignment_indices": WHOLES,
    "neuron_alignment_values": NUMBERS_OF,
    "neuron_alignment_l1": NUMBERS_OF,
    "correlated_neurons_indices": WHOLES,
    "correlated_neurons_l1": NUMBERS_OF,
    "correlated_neurons_pearson": NUMBERS_OF,
    "correlated_features_indices": WHOLES,
    "correlated_features_l1": NUMBERS_OF,
    "correlated_features_pearson": NUMBERS_OF,
    "neg_str": TEXTS,
    "neg_values": NUMBERS_OF,
    "pos_str": TEXTS,
    "pos_values": NUMBERS_OF,
    "frac_nonzero": NUMBER,
    "freq_hist_data_bar_values": NUMBERS_OF,
    "freq_hist_data_bar_heights": NUMBERS_OF,
    "logits_hist_data_bar_heights": NUMBERS_OF,
    "logits_hist_data_bar_values": NUMBERS_OF,
    "n_prompts_total": WHOLE,
    "n_tokens_in_prompt": WHOLE,
    "dataset": TEXT,
    "decoder_weights_dist": NUMBERS_OF,
    "activations": [ACTIVATION],
    "vector": NUMBERS_OF,
}
"""What one feature of a batch has, and nothing else: its reader takes no other name."""
BATCH = {
    "model_id": TEXT,
    "layer": WHOLE,
    "sae_set": TEXT,
    "sae_id_suffix": None,
    "features": [FEATURE],
}
NEURON = {
    "modelId": TEXT,
    "layer": TEXT,
    "index": TEXT,
    "creatorId": TEXT,
    "createdAt": "time",
    "maxActApprox": NUMBER,
    "hasVector": "bool",
    "vector": NUMBERS_OF,
    "vectorLabel": None,
    "vectorDefaultSteerStrength": NUMBER,
    "hookName": TEXT,
    "topkCosSimIndices": WHOLES,
    "topkCosSimValues": NUMBERS_OF,
    "sourceSetName": TEXT,
    **{name: FEATURE[name] for name in neuronpedia.SAME},
}
FIRING = {
    "id": TEXT,
    "tokens": TEXTS,
    "modelId": TEXT,
    "layer": TEXT,
    "index": TEXT,
    "maxValue": NUMBER,
    "maxValueTokenIndex": WHOLE,
    "minValue": NUMBER,
    "values": NUMBERS_OF,
    "dfaValues": NUMBERS_OF,
    "dfaTargetIndex": None,
    "dfaMaxValue": None,
    "creatorId": TEXT,
    "createdAt": "time",
    "lossValues": NUMBERS_OF,
    "logitContributions": None,
    "binMin": NUMBER,
    "binMax": NUMBER,
    "binContains": NUMBER,
    "qualifyingTokenIndex": WHOLE,
    "dataIndex": None,
    "dataSource": None,
}


def fits(value, wanted, where="") -> None:
    if wanted is None:
        assert value is None, where
    elif isinstance(wanted, dict):
        assert value.keys() == wanted.keys(), where
        for name in wanted:
            fits(value[name], wanted[name], f"{where}.{name}")
    elif isinstance(wanted, list):
        assert isinstance(value, list), where
        for inner in value:
            fits(inner, wanted[0], f"{where}[]")
    elif where.endswith((".bin_min", ".bin_contains", ".binMin", ".binContains")) and value == -1:
        assert type(value) is int, "the mark of the strongest is the whole number −1"
    elif wanted == "time":
        datetime.fromisoformat(value)
    else:
        assert type(value) is {"text": str, "int": int, "float": float, "bool": bool}[wanted], (
            f"{where}: {value!r} is no {wanted}"
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    world = simulated.made(folder)
    return world, Index(world.folder), Firings.of(sorted(folder.glob("shard*")))


@pytest.fixture(scope="module")
def batch(made):
    world, index, firings = made
    (one,) = saedashboard.batches(index, firings, NUMBERS, matching.rows(world.folder), "made-up")
    return one


def test_a_batch_has_what_its_reader_takes(batch):
    fits(batch, BATCH)
    assert [f["feature_index"] for f in batch["features"]] == NUMBERS and batch["layer"] == 0
    text = saedashboard.dumped(batch)
    assert saedashboard.dumped(json.loads(text)) == text, (
        "a feature read and written again is the same, byte for byte"
    )


def test_correlated_neurons_are_the_activations_that_are_read_or_none(made, batch, monkeypatch):
    """SAEDashboard correlates features with the activations that the dictionary reads; here these
    are the stream, which no index holds."""
    world, index, firings = made
    assert all(
        f["correlated_neurons_indices"] == f["correlated_neurons_pearson"] == []
        for f in batch["features"]
    )
    at_neurons = replace(
        index.about, site="blocks.0.mlp.hook_post", site_out="blocks.0.mlp.hook_post"
    )
    monkeypatch.setattr(index, "about", at_neurons)
    (same,) = saedashboard.batches(index, firings, [4], world.directions.decoder, "made")
    (feature,) = same["features"]
    rows = world.kept[: len(world.kept) // 2]
    acts, neurons = (x[: len(rows)][rows][:100] for x in (world.acts[..., 4], world.neurons))
    for i, pearson in zip(
        feature["correlated_neurons_indices"], feature["correlated_neurons_pearson"], strict=True
    ):
        assert pearson == pytest.approx(np.corrcoef(acts, neurons[:, i])[0, 1], abs=1e-4)
    assert feature["correlated_neurons_indices"]


def test_a_dead_feature_has_empty_lists(batch):
    dead = batch["features"][0]
    assert (
        dead["activations"] == []
        and dead["freq_hist_data_bar_heights"] == []
        and dead["frac_nonzero"] == 0.0
        and dead["pos_str"]
    )


def test_numbers_are_those_of_the_activations(made, batch):
    world, *_ = made
    for f in batch["features"][1:]:
        acts = world.acts[..., f["feature_index"]]
        assert f["frac_nonzero"] == round(float((acts[world.kept] > 0).mean()), 5)
        heights, edges = np.histogram(acts[acts > 0], 50, (0, acts.max()))
        assert (
            np.abs(np.array(f["freq_hist_data_bar_heights"]) - heights).sum() <= 2
        )  # a value on an edge may round to either side
        assert np.allclose(f["freq_hist_data_bar_values"], (edges[1:] + edges[:-1]) / 2, atol=1e-5)
        row = world.directions.decoder[f["feature_index"]]
        counted, edges = np.histogram(row @ world.directions.unembedding, 50)
        assert np.abs(np.array(f["logits_hist_data_bar_heights"]) - counted).sum() <= 2
        assert np.allclose(
            f["logits_hist_data_bar_values"], (edges[1:] + edges[:-1]) / 2, atol=1e-4
        )
        assert np.allclose(f["vector"], row, atol=2e-3 * np.linalg.norm(row))
        for a in f["activations"]:
            window = int(
                np.flatnonzero((world.tokens == [int(t[1:-1]) for t in a["tokens"]]).all(1))[0]
            )
            assert np.allclose(a["values"], acts[window], atol=6e-6)


def test_groups_are_equal_widths_of_zero_to_the_maximum(made, batch):
    """Edges, members and shares as the sentence has it, without the code that draws: max 8 has
    edges 1.6, 3.2, …"""
    world, *_ = made
    for f in batch["features"][1:]:
        acts, maximum = (
            world.acts[..., f["feature_index"]],
            float(world.acts[..., f["feature_index"]].max()),
        )
        bins = list(
            dict.fromkeys((a["bin_min"], a["bin_max"], a["bin_contains"]) for a in f["activations"])
        )
        assert bins[0] == (-1, round(maximum, 5), -1)
        assert [b[1] for b in bins[1:]] == sorted((b[1] for b in bins[1:]), reverse=True)
        for low, high, share in bins[1:]:
            assert any(
                np.isclose(low, maximum * i / 5, atol=1e-5)
                and np.isclose(high, maximum * (i + 1) / 5, atol=1e-5)
                for i in range(5)
            )
            assert share == pytest.approx(
                ((acts >= low) & (acts <= high))[world.kept].mean(), abs=2e-3
            )
        for a in f["activations"]:
            value = a["values"][a["qualifying_token_index"]]
            assert value > 0 and (
                a["bin_min"] == -1 or a["bin_min"] - 1e-5 <= value <= a["bin_max"] + 1e-5
            )
        top = [
            a["values"][a["qualifying_token_index"]] for a in f["activations"] if a["bin_min"] == -1
        ]
        assert top == sorted(top, reverse=True) and np.allclose(
            top, np.sort(acts.max(1))[::-1][: len(top)][: len(top)], atol=1e-5
        )


def test_intervals_draw_evenly():
    """Five of ten firings of one interval: each is drawn as often as any other."""
    from assay.features.index.firings import Block

    value = np.concatenate([np.full(10, 0.1), [10.0]]).astype(np.float32)
    block = Block(np.zeros(11, np.int32), np.arange(11) * 4, value, None)
    seen = np.zeros(11)
    for seed in range(400):
        found = grouped._groups(block, 4, 44, np.random.default_rng(seed))
        lowest = found[-1]
        assert (
            lowest.low == 0 and lowest.share == pytest.approx(43 / 44) and len(lowest.examples) == 5
        )
        for example in lowest.examples:
            seen[example.window] += 1
    assert seen[10] == 0 and np.all(np.abs(seen[:10] - 200) < 40)


def test_both_signs_of_an_effect_are_named(made, batch):
    world, index, firings = made
    told = saedashboard.effects(index, firings, NUMBERS)
    for f, more in zip(batch["features"], told, strict=True):
        assert len(f["activations"]) == len(more["activations"])
        for a, e in zip(f["activations"], more["activations"], strict=True):
            truth = world.effects[e["window"], :, f["feature_index"]]
            assert np.allclose(e["delta_ce"], truth, atol=1e-6) and np.allclose(
                e["saevis_loss_effect"], -truth, atol=1e-6
            )
            assert len(a["values"]) == len(e["delta_ce"])


def test_neuronpedia_files(made, batch, tmp_path):
    _, index, _ = made
    to = neuronpedia.write(tmp_path, [batch], index.about, "2026-01-02T03:04:05", "someone")
    assert to == tmp_path / "model/0-made-up"
    assert sorted(p.relative_to(to).as_posix() for p in to.rglob("*.*")) == [
        "activations/batch-0.jsonl.gz",
        "features/batch-0.jsonl.gz",
        "model.jsonl",
        "release.jsonl",
        "source.jsonl",
        "sourceset.jsonl",
    ]
    features, activations = (
        [
            json.loads(line)
            for line in gzip.decompress((to / f"{name}/batch-0.jsonl.gz").read_bytes())
            .decode()
            .splitlines()
        ]
        for name in ("features", "activations")
    )
    for row in features:
        fits(row, NEURON)
    for row in activations:
        fits(row, FIRING)
        assert row["maxValue"] == max(row["values"]) == row["values"][
            row["maxValueTokenIndex"]
        ] and re.fullmatch("c[0-9a-f]{24}", row["id"])
    assert (
        len({row["id"] for row in activations})
        == len(activations)
        == sum(len(f["activations"]) for f in batch["features"])
    )
    ids = {(row["modelId"], row["layer"], row["index"]) for row in features}
    assert {(row["modelId"], row["layer"], row["index"]) for row in activations} <= ids
    (source,) = [json.loads(line) for line in (to / "source.jsonl").read_text().splitlines()]
    (kind,) = [json.loads(line) for line in (to / "sourceset.jsonl").read_text().splitlines()]
    (release,) = [json.loads(line) for line in (to / "release.jsonl").read_text().splitlines()]
    assert (
        source["id"] == "0-made-up"
        and source["setName"] == kind["name"]
        and kind["releaseName"] == release["name"]
    )
    (model,) = [json.loads(line) for line in (to / "model.jsonl").read_text().splitlines()]
    assert {
        "id",
        "layers",
        "neuronsPerLayer",
        "owner",
        "displayName",
        "instruct",
        "createdAt",
        "updatedAt",
    } <= model.keys(), "no default there"
    again = neuronpedia.write(
        tmp_path / "again", [batch], index.about, "2026-01-02T03:04:05", "someone"
    )
    assert (again / "features/batch-0.jsonl.gz").read_bytes() == (
        to / "features/batch-0.jsonl.gz"
    ).read_bytes()
