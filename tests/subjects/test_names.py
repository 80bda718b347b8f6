"""What names of models tell: the same model, a version of it, another one, or nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import tiny_models
from assay.evaluation.file_statements import differs, plain_name
from assay.subjects import folder as models
from assay.subjects.fetch import SMOLLM2

OTHER = "another model or another version of it, by its name"


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("HuggingFaceTB/SmolLM2-135M", "smollm2-135m"),
        ("google/gemma-2-2b-it", "gemma-2-2b-it"),
        ("Qwen2.5-0.5B-bf16", "qwen2.5-0.5b"),
        ("gpt2-small", "gpt2"),
        ("EleutherAI/pythia-70m-deduped", "pythia-70m-deduped"),
    ],
)
def test_what_says_nothing_of_a_model_is_left_out_of_its_name(name, plain):
    assert plain_name(name) == plain


@pytest.fixture(scope="module")
def eight_bit(tmp_path_factory):
    """A GGUF file of 8 bits as Assay converts it, under the name of the model that it was made
    from."""
    import gguf

    from assay.core.cache import sha256
    from assay.subjects.gguf import convert

    here = tmp_path_factory.mktemp("names")
    made = tiny_models.make(
        here / "whole", "llama", hidden_size=32, intermediate_size=64, tie_word_embeddings=True
    )
    file = tiny_models.write_gguf(
        here / "m.gguf", made, gguf.GGMLQuantizationType.Q8_0, leave_out=("output",)
    )
    return models.find(str(convert(file, here / "eight", name="SmolLM2-135M", sha256=sha256(file))))


def test_an_8_bit_gguf_is_neither_the_named_model_nor_an_unrelated_one(eight_bit):
    assert eight_bit.provenance == "SmolLM2-135M, 8-bit Q8_0"
    assert (
        differs("HuggingFaceTB/SmolLM2-135M", eight_bit) == "a quantised version of it, by its name"
    )
    assert differs("HuggingFaceTB/SmolLM2-135M-Instruct", eight_bit) == OTHER
    assert differs("SmolLM2-135M-Q8_0", eight_bit) == ""
    assert differs("SmolLM2-135M-Q4_1", eight_bit) == OTHER
    assert differs("gpt2", eight_bit) == OTHER
    assert differs(f"{eight_bit.name}/", eight_bit) == "", "it was opened by this name"


def test_a_file_of_16_bits_is_not_quantised(eight_bit):
    whole = replace(eight_bit, about={"name": "SmolLM2-135M", "quantisation": "F16"})
    assert differs("HuggingFaceTB/SmolLM2-135M", whole) == ""


def test_a_name_of_assays_own_is_that_of_the_model_it_fetches(eight_bit):
    about = {"name": SMOLLM2.model, "quantisation": "Q4_1", "gguf_sha256": SMOLLM2.gguf_sha256}
    assert differs("smollm2", replace(eight_bit, about=about)) == ""
    another = about | {"quantisation": "Q8_0", "gguf_sha256": ""}
    assert differs("smollm2", replace(eight_bit, about=another)).endswith("of it, by its name")
    assert differs("gemma3-270m", replace(eight_bit, about=about)) == OTHER


def test_what_a_folder_is_called_tells_that_it_is_the_model_and_never_that_it_is_not(
    tmp_path, monkeypatch
):
    plain = models.find(str(tiny_models.make(tmp_path / "SmolLM2-135M", "llama")))
    assert differs("HuggingFaceTB/SmolLM2-135M", plain) == ""
    assert differs("gpt2", plain) is None
    settings = json.loads((plain.path / "config.json").read_text())
    (plain.path / "config.json").write_text(
        json.dumps(settings | {"_name_or_path": "nobody/other-1b"})
    )
    assert differs("gpt2", models.find(str(plain.path))) == OTHER
    monkeypatch.chdir(tmp_path)
    plain.path.rename("gpt2")
    assert differs("gpt2", models.find("gpt2")) == OTHER, "called like it"
    Path("gpt2").rename(plain.path)
    settings |= {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    (plain.path / "config.json").write_text(json.dumps(settings))
    assert (
        differs("SmolLM2-135M", models.find(str(plain.path)))
        == "a quantised version of it, by its name"
    )
    cached = tiny_models.make(
        tmp_path / "models--HuggingFaceTB--SmolLM2-360M/snapshots/0123abcd", "llama"
    )
    assert differs("HuggingFaceTB/SmolLM2-360M", models.find(str(cached))) == ""
