"""Settings of an adapter that say nothing change nothing: the model is the one without them."""

import json

import pytest
import torch
import transformers
from safetensors.torch import save_file

import tiny_models
from assay.subjects.pretrained import load

TARGETS = {"llama": ["q_proj", "down_proj"], "gpt2": ["c_attn", "c_proj"]}
SETTINGS = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 6, "bias": "none"}
TOKENS = torch.tensor([[5, 9, 70, 33, 2, 8]])


def make_adapter(folder, base, targets, rank=4, extra=None, ranks=None, **settings):
    """An adapter of random matrices, as peft writes it."""
    folder.mkdir()
    whole = transformers.AutoModelForCausalLM.from_pretrained(base)
    draw, tensors = torch.Generator().manual_seed(3), {}
    for name, module in whole.named_modules():
        if not any(name.endswith(f".{t}") for t in targets):
            continue
        conv = type(module).__name__ == "Conv1D"
        out, into = module.weight.shape[::-1] if conv else module.weight.shape
        r = next((n for end, n in (ranks or {}).items() if name.endswith(end)), rank)
        key = f"base_model.model.{name}.lora_"
        tensors[f"{key}A.weight"] = torch.randn(r, into, generator=draw) * 0.3
        tensors[f"{key}B.weight"] = torch.randn(out, r, generator=draw) * 0.3
    save_file({**tensors, **(extra or {})}, folder / "adapter_model.safetensors")
    about = SETTINGS | {"target_modules": list(targets), "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(about | settings))
    return folder


@pytest.fixture(scope="module", params=TARGETS)
def base(request, tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("base") / request.param, request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return tiny_models.make(tmp_path_factory.mktemp("llama") / "base", "llama")


REFUSED = {
    "use_dora": True,
    "modules_to_save": ["lm_head"],
    "bias": "lora_only",
    "lora_bias": True,
    "layer_replication": [[0, 2]],
    "trainable_token_indices": [1],
    "target_parameters": ["mlp.w"],
    "init_lora_weights": "pissa",
    "use_qalora": True,
    "alora_invocation_tokens": [1, 2],
    "arrow_config": {"top_k": 2},
    "peft_type": "LOHA",
    "task_type": "SEQ_CLS",
    "a_setting_of_tomorrow": 3,
    "r": 8,
    "lora_alpha": "many",
    "exclude_modules": ["q_proj"],
    "layers_to_transform": [0],
    "target_modules": ["q_proj"],
}


def test_what_says_nothing_changes_nothing(llama, tmp_path):
    quiet = {key: None for key in REFUSED if key not in SETTINGS and key != "target_modules"}
    first = make_adapter(tmp_path / "one", llama, TARGETS["llama"])
    second = make_adapter(tmp_path / "two", llama, TARGETS["llama"], **quiet)
    ours = [load(str(a)).run(TOKENS).logits for a in (first, second)]
    assert torch.equal(*ours)
