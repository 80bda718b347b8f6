"""Adapters: a LoRA folder is a model whose weights are its base's plus what a naive loop makes of
its matrices; what its settings state is obeyed, or refused by name."""

import math

import numpy as np
import pytest
import torch
import transformers

import tiny_models
from acceptance.test_adapters import REFUSED, TARGETS, TOKENS, base, llama, make_adapter
from assay.core.errors import ModelError
from assay.subjects.folder import find
from assay.subjects.pretrained import load

__all__ = ["base", "llama"]


def naive_logits(base, adapter, scaling):
    """The base's logits with W + s·B·A, a number at a time."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base).eval()
    from safetensors.numpy import load_file

    parts = load_file(adapter / "adapter_model.safetensors")
    for name, module in model.named_modules():
        key = f"base_model.model.{name}.lora_"
        if f"{key}A.weight" not in parts:
            continue
        a, b = (parts[f"{key}{x}.weight"].astype(np.float64) for x in "AB")
        s = scaling(name, len(a))
        change = np.zeros((b.shape[0], a.shape[1]))
        for i in range(b.shape[0]):
            for j in range(a.shape[1]):
                change[i, j] = s * sum(b[i, k] * a[k, j] for k in range(len(a)))
        if type(module).__name__ == "Conv1D":
            change = change.T
        with torch.no_grad():
            module.weight += torch.from_numpy(change).float()
    with torch.no_grad():
        return model(TOKENS).logits


CASES = {
    "alpha / r": ({}, lambda name, r: 6 / r),
    "rslora": ({"use_rslora": True}, lambda name, r: 6 / math.sqrt(r)),
    "alpha of a pattern": (
        {"alpha_pattern": {"down_proj": 16, r"h\.1\.attn\.c_attn": 2}},
        lambda name, r: (
            16 / r if name.endswith("down_proj") else 2 / r if "h.1.attn.c_attn" in name else 6 / r
        ),
    ),
    "rank of a pattern": (
        {"rank_pattern": {"q_proj": 2, "c_attn": 2}, "ranks": {"q_proj": 2, "c_attn": 2}},
        lambda name, r: 6 / r,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_the_merged_weights(base, case, tmp_path):
    settings, scaling = CASES[case]
    adapter = make_adapter(tmp_path / "lora", base, TARGETS[base.name], **settings)
    expected = naive_logits(base, adapter, scaling)
    plain = load(str(base)).run(TOKENS).logits
    for name in (str(adapter), f"{adapter} on {base}"):
        model = load(name)
        torch.testing.assert_close(model.run(TOKENS).logits, expected, atol=1e-4, rtol=1e-5)
    assert float((plain - expected).abs().max()) > 0.1
    assert "with the adapter lora" in model.provenance


@pytest.mark.parametrize("key", REFUSED)
def test_what_is_not_obeyed_is_refused_by_name(llama, key, tmp_path):
    adapter = make_adapter(tmp_path / "lora", llama, TARGETS["llama"], **{key: REFUSED[key]})
    names = "adapter_config.json claims|is not targeted|" + key
    with pytest.raises(ModelError, match=names):
        load(str(adapter))


@pytest.mark.parametrize(
    "extra",
    [
        {"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight": torch.zeros(4, 24)},
        {"base_model.model.lm_head.weight": torch.zeros(300, 24)},
    ],
)
def test_a_tensor_without_a_place_is_refused(llama, extra, tmp_path):
    adapter = make_adapter(tmp_path / "lora", llama, TARGETS["llama"], extra=extra)
    with pytest.raises(ModelError, match=r"layers\.9|lm_head"):
        load(str(adapter))


def test_tied_embeddings_are_not_half_changed(tmp_path):
    base = tiny_models.make(tmp_path / "tied", "llama", tie_word_embeddings=True)
    rows = {
        "base_model.model.model.embed_tokens.lora_embedding_A": torch.ones(4, 300),
        "base_model.model.model.embed_tokens.lora_embedding_B": torch.ones(24, 4),
    }
    targets = {"target_modules": ["q_proj", "embed_tokens"]}
    adapter = make_adapter(tmp_path / "lora", base, ["q_proj"], extra=rows, **targets)
    with pytest.raises(ModelError, match="tied"):
        load(str(adapter))


def test_a_base_that_is_not_here_is_asked_for(llama, tmp_path):
    adapter = make_adapter(
        tmp_path / "lora", llama, TARGETS["llama"], base_model_name_or_path="/elsewhere/base"
    )
    with pytest.raises(ModelError, match=r"/elsewhere/base, which is not here.*base ="):
        find(str(adapter))
    assert find(f"{adapter} on {llama}").adapter is not None


def test_it_is_known_by_base_and_adapter(llama, tmp_path):
    one = make_adapter(tmp_path / "one", llama, TARGETS["llama"])
    two = make_adapter(tmp_path / "two", llama, TARGETS["llama"], lora_alpha=7)
    prints = {find(str(x)).fingerprint for x in (llama, one, two)}
    assert len(prints) == 3
    assert find(f"{one} on {llama}").fingerprint == find(str(one)).fingerprint
