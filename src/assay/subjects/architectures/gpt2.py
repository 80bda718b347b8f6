"""GPT-2: LayerNorm, learned positions, an MLP without a gate, and matrices stored input first."""

from __future__ import annotations

from collections.abc import Sequence

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


def _third(index: int) -> Returned:
    """Place queries, keys or values, which lie one after the other."""

    def pick(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        return x.chunk(3, -1)[index].unflatten(-1, shape)

    return returned_by("attn.c_attn", pick)


GPT2 = Architecture(
    name="gpt2",
    sizes={
        "layers": "n_layer",
        "d": "n_embd",
        "m": "n_inner",
        "h": "n_head",
        "v": "vocab_size",
        "positions": "n_positions",
    },
    follow={"m": lambda sizes: 4 * sizes["d"], "kv": lambda sizes: sizes["h"]},
    prefix="transformer.",
    stored={
        "wte.weight": "v d",
        "wpe.weight": "positions d",
        "ln_f.weight": "d",
        "h.*.mlp.c_fc.weight": "d m",
    },
    layer_norm=True,
    tied=True,
    pos_embed="wpe",
    blocks="h",
    final_norm="ln_f",
    sites={
        "resid_pre": read_by(""),
        "ln1_scale": Scale("ln_1"),
        "q": _third(0),
        "k": _third(1),
        "v": _third(2),
        **attention("attn"),
        "z": read_by("attn.c_proj"),
        "result": Result("attn.c_proj"),
        "attn_out": returned_by("attn.c_proj"),
        "resid_mid": read_by("ln_2", shared=True),
        **before_mlp("ln_2"),
        "mlp_pre": returned_by("mlp.c_fc"),
        "mlp_post": read_by("mlp.c_proj"),
        "mlp_out": returned_by("mlp.c_proj"),
        "resid_post": returned_by(""),
    },
    traits=("LayerNorm", "learned positions", "biases"),
    absent={"mlp_pre_linear": "its MLP has no gate"},
)
