"""Model folders: what they say about themselves, and one line for everything that can be wrong with them."""

import json
import shutil

import pytest

import tiny_models
from assay.core.errors import ModelError
from assay.subjects import folder as models
from assay.subjects.fetch import GGUF_SHA256
from assay.subjects.pretrained import load
from assay.subjects.site import Site


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("good") / "llama", "llama")


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "llama")


def config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def drop_tensor(folder):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


BREAK = {
    "no config": (lambda f: (f / "config.json").unlink(), "lacks config.json"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "lacks tokenizer.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"lacks \*.safetensors"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "not readable JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "must hold one JSON object, got a list"),
    "another architecture": (lambda f: config(f, model_type="bert"), "of type bert; Assay can hook llama, mistral, qwen2, gpt2"),
    "no number of layers": (lambda f: config(f, num_hidden_layers=None), "lacks the number num_hidden_layers"),
    "weights cut short": (lambda f: cut(f / "model.safetensors", 0.6), "no whole safetensors file .*copy the folder again"),
    "weights are text": (lambda f: (f / "model.safetensors").write_text("hello"), "no whole safetensors file"),
    "weights are empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "no whole safetensors file"),
    "a tensor is missing": (drop_tensor, "lack model.layers.1.mlp.up_proj.weight; copy the folder again"),
    "sizes that differ": (lambda f: config(f, intermediate_size=64), "cannot load"),
}


@pytest.mark.parametrize("case", BREAK)
def test_a_broken_folder_is_one_clear_line(folder, case):
    harm, message = BREAK[case]
    harm(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_broken_tokenizer_is_one_clear_line(folder):
    (folder / "tokenizer.json").write_text('{"version": 3}')
    with pytest.raises(ModelError, match=r"tokenizer\.json is no tokenizer"):
        load(str(folder)).encode("x")


def test_an_absent_folder_and_an_impossible_dtype(folder, tmp_path):
    with pytest.raises(ModelError, match=r"no model .*nowhere.*; give smollm2 or a folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"float32 or bfloat16, got 'float16'"):
        load(str(folder), dtype="float16")  # type: ignore[arg-type]


def test_the_sizes_are_those_of_the_config(good):
    found = models.find(str(good))
    assert found.layers == 3
    assert [
        found.width(Site.parse(s)) for s in ("blocks.0.hook_resid_pre", "blocks.2.mlp.hook_post", "blocks.1.attn.hook_z")
    ] == [24, 40, 24]
    assert found.shape(Site("z", 0)) == (4, 6)
    assert len(found.sites) == 3 * 8 + 1
    assert str(found.sites[0]) == "blocks.0.hook_resid_pre"


def test_the_fingerprint_is_of_the_content(good, folder):
    assert models.fingerprint(str(good)) == models.fingerprint(str(folder)) == load(str(folder)).fingerprint
    config(folder, rms_norm_eps=1e-3)
    assert models.fingerprint(str(good)) != models.fingerprint(str(folder))


def test_smollm2_is_identified_without_being_there(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    assert models.fingerprint("smollm2") == GGUF_SHA256


def test_provenance_names_a_quantisation_and_else_the_folder(folder):
    assert models.find(str(folder)).provenance == "llama (llama, local folder)"
    about = {"name": "SmolLM2-135M-Instruct", "quantisation": "Q4_1", "gguf_sha256": "ab"}
    (folder / "assay.json").write_text(json.dumps(about))
    assert models.find(str(folder)).provenance == "SmolLM2-135M-Instruct, 4-bit Q4_1"
    assert models.fingerprint(str(folder)) != "ab", "a copy whose weights were trained on would share the harvest of the original"
