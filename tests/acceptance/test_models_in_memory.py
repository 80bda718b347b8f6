"""Models in memory: the same study on a folder and on the live object gives equal bytes, and what
it holds now is what it is known by."""

import types

import numpy as np
import pytest
import torch
import transformers

import assay
import chat_templates
import tiny_models
from assay.subjects.pretrained import load

STUDY = """
question = "Does the first block matter?"
seeds = "1000:1006"
[[model]]
name = "./base"
[[prompts]]
text = "the {thing} of {who} is"
slots = { thing = ["sum", "class", "point", "word"], who = ["a", "b", "add", "x", "y"] }
[[intervene]]
name = "cut"
ablate = "zero"
site = "blocks.1.hook_mlp_out"
[[read]]
name = "said"
log_prob = [" a", " b"]
[[claim]]
text = "It does"
holds = "main.said - cut.said > 0"
threshold = "plan: none"
"""
TOKENS = torch.tensor([[5, 9, 70, 33, 2, 8]])


WRAPPERS = ("nnsight", "transformer_lens")


def wrap(library, folder):
    """The model of a folder as a library has it, with its own hooks and modules around it."""
    if library == "nnsight":
        return pytest.importorskip("nnsight").LanguageModel(str(folder), dispatch=True)
    bridges = pytest.importorskip("transformer_lens.model_bridge")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return bridges.TransformerBridge.boot_transformers(
        str(folder), hf_model=model, tokenizer=tokenizer, device="cpu"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("live")
    tiny_models.make(base / "base", "llama")
    (base / "study.toml").write_text(STUDY)
    return base


@pytest.fixture
def parts(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "base").eval()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "base" / "tokenizer.json")
    )
    return model, tokenizer


def arms(result):
    return {
        name: {n: np.asarray(a).tobytes() for n, a in arm.data_vars.items()}
        for name, arm in result.arms.items()
    }


def test_chats_are_the_same(tmp_path):
    for kind in chat_templates.FAMILIES:
        folder = chat_templates.make(tmp_path / kind, kind)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        here, there = assay.model(model, tokenizer=tokenizer), load(str(folder))
        assert here.folder.opening == there.folder.opening
        assert here.prompt("a b").tolist() == there.prompt("a b").tolist()
        assert torch.equal(here.run(TOKENS).logits, there.run(TOKENS).logits)


def test_a_changed_model_is_measured_anew(folder, parts, tmp_path):
    model, tokenizer = parts
    here = assay.model(model, tokenizer=tokenizer)
    some = {"models": {"./base": here}, "root": tmp_path / "store"}
    before = assay.run(folder / "study.toml", **some)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight *= 2
    after = assay.run(folder / "study.toml", **some)
    assert arms(before)["main"] != arms(after)["main"]


@pytest.mark.parametrize("name", ["_model", "_module", "original_model"])
def test_what_wraps_one_is_taken(parts, name):
    model, tokenizer = parts
    wrapped = types.SimpleNamespace(**{name: model, "tokenizer": tokenizer})
    logits = assay.model(wrapped).run(TOKENS).logits
    assert torch.equal(logits, assay.model(model, tokenizer=tokenizer).run(TOKENS).logits)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", chat_templates.FAMILIES)
@pytest.mark.parametrize("library", WRAPPERS)
def test_every_site_of_a_real_wrapper_is_that_of_the_folder(library, kind, tmp_path):
    made = chat_templates.make(tmp_path / kind, kind)
    wrapped, there = wrap(library, made), load(str(made))
    # whose first run sets hooks
    wrapped(TOKENS) if library == "transformer_lens" else None
    here = assay.model(wrapped)
    assert here.folder.opening == there.folder.opening and here.sites == there.sites
    one, two = (m.run(TOKENS, capture=there.sites) for m in (here, there))
    assert torch.equal(one.logits, two.logits)
    assert all(torch.equal(one.acts[site], two.acts[site]) for site in there.sites)
    plain = transformers.AutoModelForCausalLM.from_pretrained(made).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(made)
    known = assay.model(plain, tokenizer=getattr(wrapped, "tokenizer", tokenizer)).fingerprint
    assert here.fingerprint == known


@pytest.mark.thorough
@pytest.mark.parametrize("library", WRAPPERS)
def test_a_study_of_a_real_wrapper_gives_the_bytes_of_its_folder(library, tmp_path):
    made = chat_templates.make(tmp_path / "base", "qwen3")
    (tmp_path / "study.toml").write_text(STUDY)
    wrapped = wrap(library, made)
    before = wrapped(TOKENS) if library == "transformer_lens" else None
    here = assay.model(wrapped)
    of_folder = assay.run(tmp_path / "study.toml", root=tmp_path / "one")
    of_live = assay.run(tmp_path / "study.toml", models={"./base": here}, root=tmp_path / "two")
    assert arms(of_folder) == arms(of_live)
    if before is not None:
        assert torch.equal(wrapped(TOKENS), before)
    else:
        with wrapped.trace(TOKENS):
            out = wrapped.model.layers[1].mlp.output.save()
        assert out.shape[:2] == TOKENS.shape


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_dtype_is_obeyed_and_part_of_the_key(folder, dtype, tmp_path):
    path = folder / f"{dtype}.toml"
    path.write_text(STUDY.replace('"./base"', f'"./base"\ndtype = "{dtype}"'))
    plain = assay.run(folder / "study.toml", root=tmp_path / "store")
    half = assay.run(path, root=tmp_path / "store")
    a, b = (r.arms["main"]["said"].to_numpy() for r in (plain, half))
    assert 0 < np.abs(a - b).max() < (0.5 if dtype == "bfloat16" else 0.1)


def test_auto_gives_the_same_bytes(folder, tmp_path):
    whole = load(str(folder / "base"), "auto")
    assert torch.equal(whole.run(TOKENS).logits, load(str(folder / "base")).run(TOKENS).logits)
    path = folder / "auto.toml"
    path.write_text(STUDY.replace('"./base"', '"./base"\ndevice = "auto"'))
    of_auto = assay.run(path, root=tmp_path / "one")
    assert arms(of_auto) == arms(assay.run(folder / "study.toml", root=tmp_path / "two"))
