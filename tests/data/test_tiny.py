"""Tiny models: a folder like any other, the same weights by seed, a training that outlives a kill,
and text it can repeat."""

import json

import numpy as np
import pytest
import torch

from assay.core.errors import SpecError
from assay.data import corpus as corpora
from assay.data.lm_text import batches
from assay.data.tiny import TinySpec, tiny
from assay.subjects.folder import find
from assay.subjects.pretrained import load
from assay.subjects.site import Site

LINES = "".join(
    f"def f{i}(a, b):\n    return a * {i} + b  # the sum of {i} terms\n\n" for i in range(60)
)


@pytest.fixture
def text(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    for i in range(24):
        (folder / f"part-{i:02}.py").write_text(LINES.replace("sum", f"sum of {i}"))
    return str(folder)


def small(text, **changes):
    return TinySpec(
        **{
            "corpus": text,
            "d": 16,
            "heads": 2,
            "m": 24,
            "context": 32,
            "vocab": 300,
            "steps": 12,
            "batch": 8,
            "seed": 3,
            **changes,
        }
    )


def test_it_is_a_model_folder_that_has_learned_something(text, bench):
    spec = small(text, steps=60)
    path = tiny(spec, bench)
    folder = find(str(path))
    assert folder.layers == 1
    assert folder.width(Site("mlp_post", 0)) == 24
    assert folder.width(Site("resid_post", 0)) == 16
    assert folder.provenance == "1-block GPT-2 of width 16 (Assay, 60 steps, seed 3)"
    assert sorted(p.name for p in path.iterdir()) == [
        "assay.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    model = load(str(path))
    tokens = torch.tensor([model.encode(LINES)[:32]])
    assert model.decode(model.encode(LINES)) == LINES
    assert float(model.losses(tokens).mean()) < 0.9 * np.log(300)
    about = json.loads((path / "assay.json").read_text())
    assert about["loss"] < 0.9 * np.log(300)
    # every 4× of compute, and 64 would be after its end
    assert [e["step"] for e in about["evaluations"]] == [1, 4, 16]
    losses = [e["loss"] for e in about["evaluations"]]
    assert losses[0] == pytest.approx(np.log(300), abs=0.1)
    assert about["loss"] < losses[2] < losses[1] < losses[0]


@pytest.mark.parametrize(
    "changes", [{"layers": 2, "activation": "relu"}, {"tied": True}], ids=["two blocks", "tied"]
)
def test_other_shapes_load_too(text, bench, changes):
    model = load(str(tiny(small(text, steps=2, **changes), bench)))
    own = model.model.get_output_embeddings().weight
    assert (own is model.model.get_input_embeddings().weight) == bool(changes.get("tied"))
    assert model.layers == changes.get("layers", 1)


def test_repeats_are_random_tokens_twice(text):
    tokens = np.zeros((16, 32), np.int64)
    batch = batches(np.array([3]), tokens, 300, 16, repeats=0.5)
    x = torch.cat([batch(step)[0] for step in range(40)])
    changed = x.any(1)
    assert 0.4 < float(changed.float().mean()) < 0.6
    assert torch.equal(x[changed, :16], x[changed, 16:])


@pytest.mark.parametrize(
    "changes", [{"layers": 0}, {"d": 10, "heads": 4}, {"repeats": 2.0}, {"vocab": 200}, {"lr": 0.0}]
)
def test_impossible_sizes_are_told_in_one_line(changes):
    with pytest.raises(SpecError) as told:
        TinySpec(**changes)
    assert "\n" not in str(told.value) and next(iter(changes)) in str(told.value)


def test_the_same_text_elsewhere_is_the_same_model(text, tmp_path, bench):
    import shutil

    moved = tmp_path / "moved"
    shutil.copytree(text, moved)
    assert corpora.load(text).fingerprint == corpora.load(str(moved)).fingerprint
    assert tiny(small(text, steps=1), bench) == tiny(small(str(moved), steps=1), bench)
