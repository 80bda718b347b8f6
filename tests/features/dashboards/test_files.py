"""Files for Neuronpedia: keys and types as it describes them, numbers as the firings have them."""

import gzip
import itertools
import json
import re
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from assay.features.dashboards import neuronpedia
from assay.features.index.about import decoder_rows
from assay.features.index.reader import Index

sys.path.insert(0, str(Path(__file__).parents[1] / "index"))
import simulated  # noqa: E402, RUF100

NUMBERS = [0, 1, 4, 7, 12]
TIME = "2026-01-02T03:04:05"
TEXT = "text"
WHOLE = "int"
NUMBER = "float"
TEXTS = ["text"]
WHOLES = ["int"]
NUMBERS_OF = ["float"]
ALIKE = {
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
    "decoder_weights_dist": NUMBERS_OF,
}
"""Fields of a feature that SAEDashboard and Neuronpedia name alike."""
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
    **ALIKE,
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


def fits(value, wanted, where=""):
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
    elif where.endswith((".binMin", ".binContains")) and value == -1:
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
    return world, Index(world.folder)


def written(made, folder, numbers=NUMBERS):
    """The rows of features, and those of their examples, by the feature's number."""
    world, index = made
    decoder = decoder_rows(world.folder)
    to = neuronpedia.write(folder, index, numbers, decoder, TIME, "someone")
    features, examples = (
        [
            json.loads(line)
            for line in gzip.decompress((to / f"{name}/batch-0.jsonl.gz").read_bytes())
            .decode()
            .splitlines()
        ]
        for name in ("features", "activations")
    )
    of = {int(f["index"]): [e for e in examples if e["index"] == f["index"]] for f in features}
    assert sum(map(len, of.values())) == len(examples)
    return {int(f["index"]): f for f in features}, of


@pytest.fixture(scope="module")
def rows(made, tmp_path_factory):
    return written(made, tmp_path_factory.mktemp("files"))


def test_each_row_has_what_the_importer_takes(rows):
    features, of = rows
    assert list(features) == NUMBERS
    for row in features.values():
        fits(row, NEURON)
    every = [row for some in of.values() for row in some]
    for row in every:
        fits(row, FIRING)
        assert row["maxValue"] == max(row["values"]) == row["values"][row["maxValueTokenIndex"]]
        assert re.fullmatch("c[0-9a-f]{24}", row["id"])
    assert len({row["id"] for row in every}) == len(every)
    for number, some in of.items():
        strongest = max((row["maxValue"] for row in some), default=0.0)
        assert features[number]["maxActApprox"] == strongest


def test_a_dead_feature_has_empty_lists(rows):
    features, of = rows
    dead = features[NUMBERS[0]]
    assert of[NUMBERS[0]] == dead["freq_hist_data_bar_heights"] == []
    assert dead["frac_nonzero"] == 0.0 and dead["pos_str"]


def test_numbers_are_those_of_the_activations(made, rows):
    world, _ = made
    features, of = rows
    for number in NUMBERS[1:]:
        f, acts = features[number], world.acts[..., number]
        assert f["frac_nonzero"] == round(float((acts[world.kept] > 0).mean()), 5)
        heights, edges = np.histogram(acts[acts > 0], 50, (0, acts.max()))
        # a value on an edge may round to either side
        assert np.abs(np.array(f["freq_hist_data_bar_heights"]) - heights).sum() <= 2
        assert np.allclose(f["freq_hist_data_bar_values"], (edges[1:] + edges[:-1]) / 2, atol=1e-5)
        row = world.directions.decoder[number]
        counted, edges = np.histogram(row @ world.directions.unembedding, 50)
        assert np.abs(np.array(f["logits_hist_data_bar_heights"]) - counted).sum() <= 2
        middles = (edges[1:] + edges[:-1]) / 2
        assert np.allclose(f["logits_hist_data_bar_values"], middles, atol=1e-4)
        assert np.allclose(f["vector"], row, atol=2e-3 * np.linalg.norm(row))
        for a in of[number]:
            tokens, size = [int(t[1:-1]) for t in a["tokens"]], len(a["tokens"])
            runs = np.lib.stride_tricks.sliding_window_view(world.tokens, size, 1)
            window, first = np.argwhere((runs == tokens).all(-1))[0]
            assert np.allclose(a["values"], acts[window, first : first + size], atol=6e-6)


def test_groups_are_the_strongest_and_quarters_by_rank(made, rows):
    world, _ = made
    for number in NUMBERS[1:]:
        acts, examples = world.acts[..., number], rows[1][number]
        on = np.sort(acts[world.kept & (acts > 0)])
        bins = list(dict.fromkeys((a["binMin"], a["binMax"], a["binContains"]) for a in examples))
        assert bins[0] == (-1, round(float(acts.max()), 5), -1) and len(bins) > 2
        edges = [0.0, *np.quantile(on, (0.25, 0.5, 0.75)), on[-1]]
        for low, high, share in bins[1:]:
            assert any(
                np.allclose((low, high), pair, atol=1e-4) for pair in itertools.pairwise(edges)
            )
            assert share == pytest.approx(len(on) / world.kept.sum() / 4, abs=1e-5)
        for a in examples:
            value = a["values"][a["qualifyingTokenIndex"]]
            assert value > 0
            near = 0.2 * a["binMax"]  # the sample is a few firings, so that ranks are rounded
            assert a["binMin"] == -1 or a["binMin"] - near <= value <= a["binMax"] + near
        top = [a["values"][a["qualifyingTokenIndex"]] for a in examples if a["binMin"] == -1]
        assert top == sorted(top, reverse=True)
        assert np.allclose(top, np.sort(acts.max(1))[::-1][: len(top)], atol=1e-5)


def test_files_name_each_other_and_are_the_same_bytes_again(made, tmp_path):
    _, index = made
    features, _ = written(made, tmp_path / "one")
    written(made, tmp_path / "again")
    model, kind = index.about.address.split("/")[:2]
    to = tmp_path / "one" / model / f"0-{kind}"
    paths = sorted(p.relative_to(tmp_path / "one") for p in to.rglob("*.*"))
    assert [p.relative_to(f"{model}/0-{kind}").as_posix() for p in paths] == [
        "activations/batch-0.jsonl.gz",
        "features/batch-0.jsonl.gz",
        "model.jsonl",
        "release.jsonl",
        "source.jsonl",
        "sourceset.jsonl",
    ]
    for path in paths:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "again" / path).read_bytes()
    (source,), (group,), (release,), (about,) = (
        [json.loads(line) for line in (to / f"{name}.jsonl").read_text().splitlines()]
        for name in ("source", "sourceset", "release", "model")
    )
    assert source["id"] == f"0-{kind}" == features[1]["layer"]
    assert source["setName"] == group["name"] == kind
    assert group["releaseName"] == release["name"]
    needed = {"id", "layers", "neuronsPerLayer", "owner", "displayName", "instruct"}
    assert needed | {"createdAt", "updatedAt"} <= about.keys(), "no default there"
