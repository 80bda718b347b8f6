"""Tiny folders with one key changed, and what transformers makes of them."""

import json
import shutil
from functools import cache

import torch
import transformers
from transformers.utils import logging

import tiny_models

logging.disable_progress_bar()
logging.set_verbosity_error()

WINDOW = {"sliding_window": 6, "head_dim": 6, "query_pre_attn_scalar": 6}
FAMILIES = {
    "llama": {},
    "mistral": {"sliding_window": 6},
    "qwen2": {},
    "qwen3": {"head_dim": 6},
    "olmo2": {},
    "phi3": {"original_max_position_embeddings": 64},
    "gemma2": {**WINDOW, "bos_token_id": 2},
    "gemma3_text": {**WINDOW, "bos_token_id": 2},
    "gpt_neox": {},
    "gptj": {"rotary_dim": 4},
    "gpt2": {},
    "mamba": {"state_size": 4},
    # found by structure
    "stablelm": {},
    "gpt_bigcode": {"n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 64},
}
"""Those with a file in architectures/, and two that are found by structure."""


def change(folder, file, edit):
    """Edit a JSON file of a folder, or begin one."""
    path = folder / file
    settings = json.loads(path.read_text()) if path.exists() else {}
    edit(settings)
    path.write_text(json.dumps(settings))


def copied(folder, to):
    """A copy of a folder whose weights are links to its own."""
    to.mkdir(parents=True)
    for path in folder.iterdir():
        if path.suffix == ".safetensors":
            (to / path.name).symlink_to(path)
        else:
            shutil.copy(path, to / path.name)
    return to


@cache
def made(root, family):
    """The folder of a family, made once."""
    return tiny_models.make(root / family, family, **FAMILIES[family])


def tokenizer_of(folder):
    """The tokenizer of a folder as transformers reads its tokenizer.json and what stands beside
    it."""
    return transformers.PreTrainedTokenizerFast.from_pretrained(folder)


def model_of(folder):
    """The model of a folder as transformers reads it, in float32."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


@torch.no_grad()
def logits(model, ids):
    """The logits of one text by itself."""
    return model(torch.tensor([[*ids]]), use_cache=False).logits[0].double().numpy()


def log_prob(model, prompt, answer):
    """log P of an answer behind a prompt, one token after the other."""
    total, before = 0.0, [*prompt]
    for token in answer:
        row = torch.tensor(logits(model, before)[-1])
        total += float(row.log_softmax(-1)[token])
        before.append(token)
    return total
