"""Probes of named neurons, latents and heads are those of scikit-learn on these columns alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from naive_models import texts
from sklearn.neighbors import NearestCentroid

from assay.ask.measure import controls, probe_tasks, probes
from assay.ask.measure.probe_tasks import ProbeTask
from assay.ask.tables import Model, Probe
from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU

WORDS = ("add", "sum", "class", "Point", "return", "def", "the", "of", "and", "self", "x", "y")
TEXTS = [f"{a} {b} list" for a in WORDS for b in WORDS if a != b][:60]
NEURONS = "blocks.1.mlp.hook_post"


@pytest.fixture(scope="module")
def acts(llama):
    """What the neurons of block 1 and the heads' outputs have at the last token, by plain hooks."""
    block = llama.model.base_model.layers[1]
    seen = {}
    handles = [
        part.register_forward_pre_hook(
            lambda module, args, name=name: seen.__setitem__(name, args[0][0, -1].clone())
        )
        for name, part in (("neurons", block.mlp.down_proj), ("heads", block.self_attn.o_proj))
    ]
    found = {"neurons": [], "heads": []}
    for text in TEXTS:
        with torch.no_grad():
            llama.model(torch.tensor([llama.ids(text)]))
        for name, x in seen.items():
            found[name].append(x.numpy())
    for handle in handles:
        handle.remove()
    return {name: np.stack(x) for name, x in found.items()}


def asked(llama, label, control="", **fields):
    rows = [{"text": text, "label": name} for text, name in zip(TEXTS, label, strict=True)]
    table = Probe(name="truth", kind="difference", **fields)
    task = ProbeTask(Model(name=str(llama.folder)), table, texts(*rows), control=control)
    probe_tasks.check(task)
    probe_tasks.check_sites(task, probes.find(str(llama.folder), None))
    return task


def accuracy(task, folder=Path(), seeds=(0,)):
    named, _ = probes.measure(task, np.array(seeds), folder, "cpu", False, lambda *_: None)
    return named["accuracy"][1]


def nearest_mean(task, x, label, seed):
    """Whether the nearer mean of these columns is right, of each judged row."""
    train = task.source.sample(task.learned, seed, labelled=True)
    fitted = NearestCentroid().fit(x[train], label[train])
    return fitted.predict(x[task.rows]) == label[task.rows]


def split_by(x):
    """Labels that say, but for a few, which half of the values a row is in."""
    label = np.where(x > np.median(x), "high", "low")
    label[::9] = np.where(label[::9] == "high", "low", "high")
    return label


@pytest.mark.parametrize("neurons", [(3,), (3, 7, 11)])
def test_named_neurons_are_read_alone(llama, acts, neurons):
    """Of one neuron that is a threshold, learned on one half and judged on the other."""
    x, label = acts["neurons"], split_by(acts["neurons"][:, 3])
    task = asked(llama, label, site=NEURONS, neurons=neurons)
    expected = nearest_mean(task, x[:, neurons], label, 0)
    assert (accuracy(task)[0] == expected).all()
    assert 0.5 < expected.mean() < 1


def test_a_sweep_goes_over_neurons_and_a_head_is_its_columns(llama, acts):
    label = split_by(acts["neurons"][:, 3])
    slots = {"site": NEURONS, "neurons": ("{n}",), "sweep": {"n": (2, 3)}}
    task = asked(llama, label, **slots)
    found = accuracy(task)[0]
    for k, n in enumerate((2, 3)):
        assert (found[k] == nearest_mean(task, acts["neurons"][:, [n]], label, 0)).all()
    count = llama.model.config.num_attention_heads
    width = acts["heads"].shape[1] // count
    task = asked(llama, label, heads=("1.{n}",), sweep={"n": (0, 2)})
    found = accuracy(task)[0]
    for k, n in enumerate((0, 2)):
        columns = acts["heads"][:, n * width : (n + 1) * width]
        assert (found[k] == nearest_mean(task, columns, label, 0)).all()


@pytest.mark.parametrize("kind", ["ridge", "logistic", "difference"])
def test_a_probe_of_one_neuron_is_a_threshold(llama, acts, kind):
    """Above it every row is said to be high, below it none."""
    x, label = acts["neurons"][:, 3], split_by(acts["neurons"][:, 3])
    task = asked(llama, label, site=NEURONS, neurons=(3,))
    task = replace(task, table=Probe(**{**fields_of(task.table), "kind": kind}))
    right, rows = accuracy(task)[0] == 1, np.array(task.rows)
    said_high = (label[rows] == "high") == right
    assert x[rows][said_high].min() > x[rows][~said_high].max()


def fields_of(table):
    return {name: getattr(table, name) for name in table.__struct_fields__}


def test_named_latents_are_read_alone(llama, acts, tmp_path):
    d = acts["neurons"].shape[1]
    W = torch.from_numpy(np.random.default_rng(1).normal(size=(1, d, 9))).float()
    dictionary = Dictionary(W, torch.zeros(1, 9), W.mT.contiguous(), torch.zeros(1, d), ReLU())
    dictionary.save(tmp_path / "codes.safetensors")
    codes = np.maximum(acts["neurons"] @ W[0].double().numpy(), 0)
    label = split_by(codes[:, 4])
    about = {"site": NEURONS, "dictionary": "codes.safetensors"}
    task = asked(llama, label, latents=(4,), **about)
    found = accuracy(task, tmp_path)[0]
    assert (found == nearest_mean(task, codes[:, [4]], label, 0)).all()
    with pytest.raises(DataError, match="has latents 0 to 8 to read, got \\[9\\]"):
        accuracy(asked(llama, label, latents=(9,), **about), tmp_path)


def test_in_the_control_others_are_read(llama, acts):
    """Each seed has a neuron of its own, and never the one that is named."""
    label = split_by(acts["neurons"][:, 3])
    named = {"site": NEURONS, "neurons": (3,)}
    task = asked(llama, label, "neurons", **named)
    known = controls.of_probe(task.table)
    assert [c.name for c in known][-2:] == ["permuted", "neurons"]
    swept = asked(llama, label, site=NEURONS, neurons=("{n}",), sweep={"n": (2, 3)}).table
    assert [c.name for c in controls.of_probe(swept)][-1] == "permuted"
    found = accuracy(task, seeds=range(4))
    for seed in range(4):
        by_neuron = [
            nearest_mean(task, acts["neurons"][:, [n]], label, seed)
            for n in range(acts["neurons"].shape[1])
        ]
        same = [n for n, right in enumerate(by_neuron) if (right == found[seed]).all()]
        assert [n for n in same if n != 3]
    assert found.mean() < accuracy(replace(task, control=""), seeds=range(4)).mean() - 0.1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"site": NEURONS, "latents": (1,)}, "latents of a dictionary"),
        ({"site": NEURONS, "neurons": (1,), "latents": (1,)}, "one kind of parts"),
    ],
)
def test_parts_that_cannot_be_read_are_refused(llama, fields, words):
    with pytest.raises(Exception, match=words):
        asked(llama, ["a", "b"] * 30, **fields)


def test_a_probe_that_chooses_reads_no_named_parts(llama):
    task = asked(llama, ["a", "b"] * 30, site=NEURONS, neurons=(3,))
    with pytest.raises(DataError, match="a sparse probe chooses what it reads"):
        table = Probe(**{**fields_of(task.table), "kind": "sparse"})
        probe_tasks.check(replace(task, table=table))
