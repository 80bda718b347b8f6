"""Model folders: what they say about themselves, and one line for everything that can be wrong with
them."""

import json
import shutil
from dataclasses import replace

import pytest

import tiny_models
from acceptance.test_folder import change_tensors
from assay.core.errors import ModelError
from assay.subjects import folder as models
from assay.subjects.fetch import SMOLLM2
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


def infinite(folder):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = float("inf")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def index(folder, part):
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"model.norm.weight": part}})
    )


BREAK = {
    "no config": (lambda f: (f / "config.json").unlink(), "lacks config.json"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "lacks tokenizer.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), r"lacks \*.safetensors"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), "not readable JSON"),
    "another architecture": (
        lambda f: config(f, model_type="bert"),
        "of type bert: no list of blocks with a norm after it can be found; Assay knows llama",
    ),
    "no number of layers": (
        lambda f: config(f, num_hidden_layers=None),
        "lacks the number num_hidden_layers",
    ),
    "weights cut short": (
        lambda f: cut(f / "model.safetensors", 0.6),
        "not a complete safetensors file .*copy the folder again",
    ),
    "a tensor is missing": (
        drop_tensor,
        "lack model.layers.1.mlp.up_proj.weight; copy the folder again",
    ),
    "a vocabulary that is not stored": (
        lambda f: config(f, vocab_size=10**6),
        r"embed_tokens.weight is \[300, 24\], .* claims \[1000000, 24\]",
    ),
    "too many blocks": (
        lambda f: config(f, num_hidden_layers=2500),
        "2,500 num_hidden_layers; at most 1,000 are read: ASSAY_LIMITS=3 ",
    ),
    "a size that is a truth": (
        lambda f: config(f, num_hidden_layers=True),
        "num_hidden_layers must be a whole number of at least 1, got True",
    ),
    "heads of nothing": (
        lambda f: config(f, num_attention_heads=48, head_dim=None),
        "hidden_size must be at least num_attention_heads",
    ),
    "attention from elsewhere": (
        lambda f: config(f, attn_implementation="somebody/kernel"),
        "attn_implementation must be eager or sdpa",
    ),
    "a number that is none": (
        infinite,
        r"mlp.up_proj.weight in .* has numbers that are NaN or infinite",
    ),
    "an index that leads elsewhere": (
        lambda f: index(f, "../other/model.safetensors"),
        "names '../other/model.safetensors', which is not a file",
    ),
    "an index of a lost part": (
        lambda f: index(f, "model-00002-of-00002.safetensors"),
        "names 'model-00002-of-00002.safetensors', which is not",
    ),
    "sizes that differ": (lambda f: config(f, intermediate_size=64), "cannot load"),
    "pickled weights alone": (
        lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
        r"lacks \*\.safetensors; it has pytorch_model\.bin, and Assay reads no pickled weights",
    ),
    "a tensor of another name": (
        lambda f: change_tensors(f, lambda name: name.replace("1.input_layernorm", "1.norm")),
        r"lack model\.layers\.1\.input_layernorm\.weight; copy the folder again",
    ),
    "a setting of another kind": (
        lambda f: config(f, rope_parameters="x"),
        r"transformers cannot load .* field 'rope_parameters': TypeError",
    ),
}


@pytest.mark.parametrize("case", BREAK)
def test_a_broken_folder_is_one_clear_line(folder, case):
    harm, message = BREAK[case]
    harm(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load(str(folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


MIXED = {
    ("llama", "gpt2"): "lack embed_tokens.weight, which its config.json claims",
    ("llama", "qwen2"): r"have .*self_attn\.k_proj\.bias, for which llama has no place: its config",
    ("llama", "stablelm"): r"layernorm\.bias, for which llama has no place",
    ("gemma2", "gemma3_text"): r"self_attn\.k_norm\.weight, for which gemma2 has no place",
    ("qwen3", "gemma3_text"): r"feedforward_layernorm\.weight, for which qwen3 has no place",
    ("stablelm", "phi3"): r"are [\d,]+ numbers, its config\.json claims",
    ("stablelm", "qwen3"): r"self_attn\.k_proj\.weight is \[16, 24\], its config\.json claims",
    ("mamba", "gpt2"): "lack embeddings.weight, which its config.json claims",
}


@pytest.mark.parametrize("kinds", MIXED, ids="-".join)
def test_the_weights_of_another_family_are_one_line(kinds, tmp_path):
    """Also those of a family that has all of ours and some more, which would be left out."""
    ours, theirs = (
        tiny_models.make(tmp_path / str(n), kind, **({"head_dim": 8} if kind in WIDE else {}))
        for n, kind in enumerate(kinds)
    )
    shutil.copy(theirs / "model.safetensors", ours / "model.safetensors")
    with pytest.raises(ModelError, match=MIXED[kinds]) as told:
        load(str(ours))
    assert "\n" not in str(told.value)


WIDE = ("gemma2", "gemma3_text", "qwen3")


def test_a_tokenizer_of_more_tokens_than_the_model_reads_is_one_line(folder, tmp_path):
    """Tokens that were added to it later are no more than a name, as Gemma's of an image."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.add_tokens(["<image>"])
    tokenizer.save(str(path))
    more = load(str(folder))
    with pytest.raises(ModelError, match="tokens must be in 0 to 299, got 300 to 300"):
        more.run(more.prompt("<image>"))
    content = json.loads(path.read_text())
    content["model"]["vocab"]["another"] = 301
    path.write_text(json.dumps(content))
    other = shutil.copytree(folder, tmp_path / "other")
    with pytest.raises(ModelError, match=r"another model's tokenizer: it has 301 tokens.* 300$"):
        load(str(other)).prompt("def")


def test_a_broken_tokenizer_is_one_clear_line(folder):
    (folder / "tokenizer.json").write_text('{"version": 3}')
    with pytest.raises(ModelError, match=r"tokenizer\.json is not a tokenizer"):
        load(str(folder)).encode("x")


def test_an_absent_folder_and_an_impossible_dtype(folder, tmp_path):
    with pytest.raises(
        ModelError, match=r"no model .*nowhere.*; give smollm2, gemma3-270m, a folder"
    ):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match=r"config\.json is a file; give the model's folder"):
        load(str(folder / "config.json"))
    with pytest.raises(ModelError, match=r"float32, bfloat16 or float16, got 'float64'"):
        load(str(folder), dtype="float64")


def test_the_sizes_are_those_of_the_config(good):
    found = models.find(str(good))
    assert found.layers == 3
    assert [
        found.width(Site.parse(s))
        for s in ("blocks.0.hook_resid_pre", "blocks.2.mlp.hook_post", "blocks.1.attn.hook_z")
    ] == [24, 40, 24]
    assert found.shape(Site("z", 0)) == (4, 6)
    assert len(found.sites) == 1 + 3 * 21 + 2
    assert [str(found.sites[i]) for i in (0, 1, -1)] == [
        "hook_embed",
        "blocks.0.hook_resid_pre",
        "ln_final.hook_normalized",
    ]
    with pytest.raises(ModelError, match="for each pair of positions, no vector for a token"):
        found.width(Site("pattern", 0))


def test_the_content_is_that_of_the_files_whatever_the_name_says(good, folder):
    """A packaged model has the fingerprint of its GGUF file; its files may be others by now."""

    def named():
        return replace(models.find(str(folder)), name="smollm2", about={"gguf_sha256": "ab"})

    before = named()
    assert before.fingerprint == "ab"
    assert before.content == models.find(str(good)).content == models.fingerprint(str(good))
    weights, whole = before.weights_content, before.content
    drop_tensor(folder)
    assert (named().fingerprint, named().content != whole) == ("ab", True)
    assert named().weights_content != weights


def test_the_weights_alone_are_known_whatever_stands_next_to_them(good, folder):
    config(folder, a_note=1)
    assert models.find(str(folder)).content != models.find(str(good)).content
    assert models.find(str(folder)).weights_content == models.find(str(good)).weights_content


def test_smollm2_is_identified_without_being_there(monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    assert models.fingerprint("smollm2") == SMOLLM2.gguf_sha256


def test_provenance_names_a_quantisation_and_else_the_folder(folder):
    assert models.find(str(folder)).provenance == "llama (llama, local folder)"
    about = {"name": "SmolLM2-135M-Instruct", "quantisation": "Q4_1", "gguf_sha256": "ab"}
    (folder / "assay.json").write_text(json.dumps(about))
    assert models.find(str(folder)).provenance == "SmolLM2-135M-Instruct, 4-bit Q4_1"
    assert models.fingerprint(str(folder)) != "ab", (
        "a copy whose weights were trained on would share the harvest of the original"
    )
