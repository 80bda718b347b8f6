"""GPT-NeoX (Pythia) and GPT-J: attention and MLP side by side, both reading the stream before the
block, so that there is no stream between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from assay.core.heavy import torch
from assay.subjects.architectures import (
    Architecture,
    Result,
    Returned,
    Scale,
    attention,
    before_mlp,
    read_by,
    returned_by,
)
from assay.subjects.architectures.gpt2 import GPT2
from assay.subjects.architectures.llama import LLAMA

SIDE_BY_SIDE = "attention and MLP read the same stream, so there is none between them"
UNGATED = "its MLP has no gate"


def _in_sequence(config: Mapping[str, Any]) -> Architecture | None:
    """GPT-NeoX as a few were trained: attention first, then the MLP."""
    return None if config.get("use_parallel_residual", True) else _SEQUENTIAL


def _third(module: str, index: int) -> Returned:
    """Place queries, keys or values, which are next to each other head by head."""

    def pick(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        return x.unflatten(-1, (shape[0], 3, shape[1]))[..., index, :]

    return returned_by(module, pick)


NEOX = Architecture(
    name="gpt_neox",
    sizes={name: key for name, key in LLAMA.sizes.items() if name not in ("kv", "e")},
    follow={"kv": lambda sizes: sizes["h"]},
    prefix="gpt_neox.",
    stored={
        "embed_in.weight": "v d",
        "final_layer_norm.weight": "d",
        "layers.*.mlp.dense_h_to_4h.weight": "m d",
        "layers.*.attention.dense.weight": "d d",
    },
    layer_norm=True,
    blocks="layers",
    final_norm="final_layer_norm",
    sites={
        "resid_pre": read_by(""),
        "ln1_scale": Scale("input_layernorm"),
        "q": _third("attention.query_key_value", 0),
        "k": _third("attention.query_key_value", 1),
        "v": _third("attention.query_key_value", 2),
        **attention("attention"),
        "z": read_by("attention.dense"),
        "result": Result("attention.dense"),
        "attn_out": returned_by("attention.dense"),
        **before_mlp("post_attention_layernorm"),
        "mlp_pre": returned_by("mlp.dense_h_to_4h"),
        "mlp_post": read_by("mlp.dense_4h_to_h"),
        "mlp_out": returned_by("mlp.dense_4h_to_h"),
        "resid_post": returned_by(""),
    },
    absent={"resid_mid": SIDE_BY_SIDE, "mlp_pre_linear": UNGATED},
    otherwise=_in_sequence,
    traits=("attention and MLP side by side", "rotary positions on a part of each head", "biases"),
)
_HALF = list(NEOX.sites).index("attn_out") + 1
_SEQUENTIAL = replace(
    NEOX,
    sites={
        **dict(list(NEOX.sites.items())[:_HALF]),
        "resid_mid": read_by("post_attention_layernorm", shared=True),
        **dict(list(NEOX.sites.items())[_HALF:]),
    },
    absent={"mlp_pre_linear": UNGATED},
    traits=NEOX.traits[1:],
)
GPTJ = Architecture(
    name="gptj",
    sizes=GPT2.sizes,
    follow=GPT2.follow,
    prefix=GPT2.prefix,
    stored={
        "wte.weight": "v d",
        "ln_f.weight": "d",
        "h.*.mlp.fc_in.weight": "m d",
        "h.*.attn.out_proj.weight": "d d",
    },
    layer_norm=True,
    blocks="h",
    final_norm="ln_f",
    sites={
        "resid_pre": read_by(""),
        "ln1_scale": Scale("ln_1"),
        "q": returned_by("attn.q_proj"),
        "k": returned_by("attn.k_proj"),
        "v": returned_by("attn.v_proj"),
        **attention("attn"),
        "z": read_by("attn.out_proj"),
        "result": Result("attn.out_proj"),
        "attn_out": returned_by("attn.out_proj"),
        "mlp_in": read_by("mlp"),
        "mlp_pre": returned_by("mlp.fc_in"),
        "mlp_post": read_by("mlp.fc_out"),
        "mlp_out": returned_by("mlp.fc_out"),
        "resid_post": returned_by(""),
    },
    absent={
        "resid_mid": SIDE_BY_SIDE,
        "ln2_scale": "attention and MLP read one norm",
        "ln2_normalized": "attention and MLP read one norm",
        "mlp_pre_linear": UNGATED,
    },
    traits=(
        "attention and MLP side by side, behind one norm",
        "rotary positions on a part of each head",
        "an unembedding with a bias",
    ),
)
