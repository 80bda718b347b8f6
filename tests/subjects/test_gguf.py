"""GGUF conversion: a tiny file written by gguf's own writer becomes a folder with the logits of the
model it was made from."""

import json

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind

import tiny_models
from assay.core.cache import sha256
from assay.core.errors import ModelError
from assay.subjects import gguf as ours
from assay.subjects.pretrained import load

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def convert(path, folder, name):
    return ours.convert(path, folder, name=name, sha256=sha256(path))


TOKENS = torch.tensor([[5, 17, 200, 3, 41, 41, 99, 12]])


def half(folder):
    """Rounds the matrices of a model folder to float16, which is what a conversion stores."""
    from safetensors.numpy import load_file, save_file

    w = load_file(folder / "model.safetensors")
    w = {k: v.astype(np.float16).astype(np.float32) if v.ndim == 2 else v for k, v in w.items()}
    save_file(w, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def model(request, tmp_path_factory):
    folder = tiny_models.make(
        tmp_path_factory.mktemp("m") / "llama", "llama", tie_word_embeddings=request.param, **SIZES
    )
    half(folder)
    return folder


def test_the_converted_model_has_the_logits_of_the_original(model, tmp_path):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model)
    made = convert(path, tmp_path / "made", name="Tiny")
    expected, _ = tiny_models.naive(model, TOKENS.numpy())
    got = load(str(made)).run(TOKENS).logits.double().numpy()
    assert np.abs(got - expected).max() < 2e-5 * np.abs(expected).max()
    assert sorted(p.name for p in made.iterdir()) == [
        "assay.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_matrices_are_kept_as_float16_and_norms_as_float32(model, tmp_path):
    from safetensors.numpy import load_file

    made = convert(
        tiny_models.write_gguf(tmp_path / "tiny.gguf", model), tmp_path / "made", name="Tiny"
    )
    for name, w in load_file(made / "model.safetensors").items():
        assert w.dtype == (np.float32 if "norm" in name else np.float16), name


def test_four_bit_weights_are_opened_and_named(model, tmp_path):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model, Kind.Q4_1)
    made = convert(path, tmp_path / "made", name="Tiny")
    assert json.loads((made / "assay.json").read_text()) == {
        "name": "Tiny",
        "quantisation": "Q4_1",
        "licence": "mit",
        "gguf_sha256": sha256(path),
        "gguf": "tiny.gguf",
    }
    assert load(str(made)).provenance == "Tiny, 4-bit Q4_1"


def test_digits_are_split_one_by_one(model, tmp_path):
    file = tiny_models.write_gguf(tmp_path / "a.gguf", model)
    split = load(str(convert(file, tmp_path / "a", name="a")))
    text = "y = 2048\n"
    assert split.token_text(split.encode(text))[-5:] == ["2", "0", "4", "8", "\n"]
    assert split.decode(split.encode(text)) == text


def test_a_wrong_hash_and_an_absent_file(model, tmp_path):
    path = tiny_models.write_gguf(tmp_path / "tiny.gguf", model)
    with pytest.raises(
        ModelError, match=f"sha256 should be {'0' * 64}, is {sha256(path)}; fetch it again"
    ):
        ours.convert(path, tmp_path / "made", name="Tiny", sha256="0" * 64)
    with pytest.raises(ModelError, match=r"no GGUF file at"):
        ours.convert(tmp_path / "none.gguf", tmp_path / "made", name="Tiny", sha256="")
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.gguf"]
