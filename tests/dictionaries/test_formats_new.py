"""A new format is one file: it is found by being there, named in errors, told by names and by what
a file holds, and read."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assay.core.errors import DataError
from assay.dictionaries import formats
from assay.dictionaries.formats import load, write
from assay.dictionaries.formats.format import known

FILE = """
import json

from safetensors.torch import save_file

from assay.dictionaries.formats.format import Coder
from assay.dictionaries.formats.format import Format, Reading, with_settings
from assay.dictionaries.formats.weights import Weights
from assay.dictionaries.nonlinearity import ReLU


def read(source, hints):
    weights = Weights(source.file, source.values, d=source.config["d"])
    coder = Coder(weights.take("into", "d", "N"), weights.take("bias", "N"), weights.take("out", "N", "d"), weights.take("centre", "d"),
                  ReLU(), centred=False)
    weights.end("a file of mine")
    return Reading(coder=coder, architecture="mine")


def prepare(dictionary, model):
    def fill(place):
        place.mkdir()
        one = dictionary.tensors()
        tensors = {"into": one["W_enc"], "bias": one["b_enc"], "out": one["W_dec"], "centre": one["b_dec"]}
        save_file({name: tensor[0].contiguous() for name, tensor in tensors.items()}, place / "mine.safetensors")
        (place / "mine.json").write_text(json.dumps({"d": dictionary.W_enc.shape[1]}))
        return ["."]

    return fill


FORMAT = Format(name="mine", suffixes=(".safetensors",), files=("mine.safetensors",), settings="mine.json",
                fits=lambda found: "into" in found.values, open=with_settings("mine.json"), read=read, prepare=prepare)
"""  # noqa: E501


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """Assay with this one file more."""
    root = tmp_path_factory.mktemp("formats")
    (root / "format_of_the_test.py").write_text(FILE)
    assert "mine" not in known()
    formats.__path__.append(str(root))
    known.cache_clear()
    yield known()["mine"]
    formats.__path__.remove(str(root))
    known.cache_clear()


@pytest.fixture
def folder(mine, tmp_path):
    draw = torch.Generator().manual_seed(0)
    shapes = {"into": (5, 7), "bias": (7,), "out": (7, 5), "centre": (5,)}
    path = tmp_path / "it"
    path.mkdir()
    save_file(
        {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()},
        path / "mine.safetensors",
    )
    (path / "mine.json").write_text(json.dumps({"d": 5}))
    return path


@pytest.mark.parametrize("how", ["the folder", "the file", "its settings", "another name", "said"])
def test_it_is_read_by_every_way_to_its_file(folder, how):
    other = folder / "other.safetensors"
    shutil.copy(folder / "mine.safetensors", other)
    path = {
        "the file": folder / "mine.safetensors",
        "its settings": folder / "mine.json",
        "another name": other,
    }.get(how, folder)
    d = load(path, format="mine" if how == "said" else None, site="blocks.0.hook_resid_pre")
    from safetensors.numpy import load_file

    w, x = load_file(folder / "mine.safetensors"), np.linspace(-1, 1, 15).reshape(3, 5)
    expected = np.maximum(x @ w["into"] + w["bias"], 0) @ w["out"] + w["centre"]
    assert np.allclose(d.reconstruct(torch.from_numpy(x).float()).numpy(), expected, atol=1e-5)
    assert d.origin["format"] == "mine"


def test_what_it_writes_it_reads_with_the_same_bits(folder, tmp_path):
    d = load(folder)
    assert write(d, tmp_path / "new", "mine") == [tmp_path / "new"]
    again = load(tmp_path / "new")
    assert all(torch.equal(value, again.tensors()[name]) for name, value in d.tensors().items())
    with pytest.raises(DataError, match=r"no format 'sparsify' to write; .*assay, mine, saelens"):
        write(d, tmp_path / "other", "sparsify")


def test_errors_name_it_beside_the_others(mine, folder, tmp_path):
    (folder / "mine.safetensors").unlink()
    with pytest.raises(
        DataError, match=r"has mine\.json but no weights; expected mine\.safetensors next to it"
    ):
        load(folder)
    (tmp_path / "it.gguf").write_text("x")
    with pytest.raises(DataError, match=r"read by none of assay, .*mine"):
        load(tmp_path / "it.gguf")
    with pytest.raises(DataError, match=r"no format 'mime'; did you mean mine\?"):
        load(folder, format="mime")
    torch.save({"a": torch.zeros(1)}, tmp_path / "it.pt")
    with pytest.raises(
        DataError,
        match=r"is a torch file, which format mine never is; known: .*dictionary-learning",
    ):
        load(tmp_path / "it.pt", format="mine")
