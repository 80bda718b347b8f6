"""GPT-NeoX (Pythia) and GPT-J: attention and MLP side by side, both reading the stream before the
block, so that there is no stream between them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assay.subjects.architectures import Architecture, read_by, returned_by

SIDE_BY_SIDE = "attention and MLP read the same stream, so there is none between them"


def _in_sequence(config: Mapping[str, Any]) -> Architecture | None:
    """GPT-NeoX as a few were trained: attention first, then the MLP."""
    return None if config.get("use_parallel_residual", True) else _SEQUENTIAL


NEOX = Architecture(
    name="gpt_neox",
    sizes={
        "layers": "num_hidden_layers",
        "d": "hidden_size",
        "m": "intermediate_size",
        "h": "num_attention_heads",
        "v": "vocab_size",
        "positions": "max_position_embeddings",
    },
    prefix="gpt_neox.",
    stored={
        "embed_in.weight": "v d",
        "final_layer_norm.weight": "d",
        "layers.*.mlp.dense_h_to_4h.weight": "m d",
        "layers.*.attention.dense.weight": "d d",
    },
    blocks="layers",
    final_norm="final_layer_norm",
    sites={
        "resid_pre": read_by(""),
        "z": read_by("attention.dense"),
        "attn_out": returned_by("attention.dense"),
        "mlp_pre": returned_by("mlp.dense_h_to_4h"),
        "mlp_post": read_by("mlp.dense_4h_to_h"),
        "mlp_out": returned_by("mlp.dense_4h_to_h"),
        "resid_post": returned_by(""),
    },
    absent={"resid_mid": SIDE_BY_SIDE},
    otherwise=_in_sequence,
    traits=("attention and MLP side by side", "rotary positions on a part of each head", "biases"),
)
_SEQUENTIAL = replace(
    NEOX,
    sites={
        **{kind: NEOX.sites[kind] for kind in ("resid_pre", "z", "attn_out")},
        "resid_mid": read_by("post_attention_layernorm", shared=True),
        **{kind: NEOX.sites[kind] for kind in ("mlp_pre", "mlp_post", "mlp_out", "resid_post")},
    },
    absent={},
    traits=NEOX.traits[1:],
)
GPTJ = Architecture(
    name="gptj",
    sizes={
        "layers": "n_layer",
        "d": "n_embd",
        "m": "n_inner",
        "h": "n_head",
        "v": "vocab_size",
        "positions": "n_positions",
    },
    follow={"m": lambda sizes: 4 * sizes["d"]},
    prefix="transformer.",
    stored={
        "wte.weight": "v d",
        "ln_f.weight": "d",
        "h.*.mlp.fc_in.weight": "m d",
        "h.*.attn.out_proj.weight": "d d",
    },
    blocks="h",
    final_norm="ln_f",
    sites={
        "resid_pre": read_by(""),
        "z": read_by("attn.out_proj"),
        "attn_out": returned_by("attn.out_proj"),
        "mlp_pre": returned_by("mlp.fc_in"),
        "mlp_post": read_by("mlp.fc_out"),
        "mlp_out": returned_by("mlp.fc_out"),
        "resid_post": returned_by(""),
    },
    absent={"resid_mid": SIDE_BY_SIDE},
    traits=(
        "attention and MLP side by side, behind one norm",
        "rotary positions on a part of each head",
        "an unembedding with a bias",
    ),
)
