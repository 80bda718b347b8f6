"""Llama and those that are built like it: RMSNorm before attention and before a gated MLP, in one
stream."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from assay.core.heavy import torch
from assay.subjects.architectures import (
    POST_SCALES,
    Architecture,
    Result,
    Scale,
    attention,
    before_mlp,
    post_norms,
    read_by,
    returned_by,
)


def _first_heads(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return x[..., : math.prod(shape)].unflatten(-1, shape)


def _heads_before_last(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return x[..., -2 * math.prod(shape) : -math.prod(shape)].unflatten(-1, shape)


def _last_heads(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    return x[..., -math.prod(shape) :].unflatten(-1, shape)


LLAMA = Architecture(
    name="llama",
    sizes={
        "layers": "num_hidden_layers",
        "d": "hidden_size",
        "m": "intermediate_size",
        "h": "num_attention_heads",
        "v": "vocab_size",
        "positions": "max_position_embeddings",
        "kv": "num_key_value_heads",
        "e": "head_dim",
    },
    follow={"kv": lambda sizes: sizes["h"]},
    prefix="model.",
    stored={
        "embed_tokens.weight": "v d",
        "norm.weight": "d",
        "layers.*.mlp.down_proj.weight": "d m",
        "layers.*.self_attn.q_proj.weight": "h·e d",
        "layers.*.self_attn.k_proj.weight": "kv·e d",
    },
    blocks="layers",
    final_norm="norm",
    sites={
        "resid_pre": read_by(""),
        "ln1_scale": Scale("input_layernorm"),
        "q": returned_by("self_attn.q_proj"),
        "k": returned_by("self_attn.k_proj"),
        "v": returned_by("self_attn.v_proj"),
        **attention("self_attn"),
        "z": read_by("self_attn.o_proj"),
        "result": Result("self_attn.o_proj"),
        "attn_out": returned_by("self_attn.o_proj"),
        "resid_mid": read_by("post_attention_layernorm", shared=True),
        **before_mlp("post_attention_layernorm"),
        "mlp_pre": returned_by("mlp.gate_proj"),
        "mlp_pre_linear": returned_by("mlp.up_proj"),
        "mlp_post": read_by("mlp.down_proj"),
        "mlp_out": returned_by("mlp.down_proj"),
        "resid_post": returned_by(""),
    },
)
MISTRAL = replace(LLAMA, name="mistral", follow={})
"""How many key and value heads a config means that does not say so, transformers knows."""
QWEN2 = replace(MISTRAL, name="qwen2")
QWEN3 = replace(MISTRAL, name="qwen3", traits=("queries and keys are normed",))
OLMO2 = replace(
    MISTRAL,
    name="olmo2",
    sites={
        **post_norms({k: place for k, place in LLAMA.sites.items() if not k.startswith("ln")}),
        "resid_mid": read_by("mlp", shared=True),
    },
    kinds=POST_SCALES,
    absent=dict.fromkeys(
        ("ln1_scale", "ln2_scale", "ln2_normalized"),
        "attention and MLP read the stream itself, and what they write is normed: ln1_post, "
        "ln2_post",
    ),
    traits=(
        "norms after attention and MLP, none before: their writes are what the norms return",
        "queries and keys are normed",
    ),
)
PHI3 = replace(
    MISTRAL,
    name="phi3",
    stored={name: letters for name, letters in LLAMA.stored.items() if "self_attn" not in name}
    | {"layers.*.self_attn.o_proj.weight": "d h·e"},
    sites={
        **LLAMA.sites,
        # heads of queries, then those of keys, then as many of values; gate, then up
        "q": returned_by("self_attn.qkv_proj", _first_heads),
        "k": returned_by("self_attn.qkv_proj", _heads_before_last),
        "v": returned_by("self_attn.qkv_proj", _last_heads),
        "mlp_pre": returned_by("mlp.gate_up_proj", lambda x, _: x.chunk(2, -1)[0]),
        "mlp_pre_linear": returned_by("mlp.gate_up_proj", lambda x, _: x.chunk(2, -1)[1]),
    },
    traits=("queries, keys and values come from one matrix, gate and up from another",),
)
