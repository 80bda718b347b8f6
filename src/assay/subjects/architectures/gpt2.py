"""GPT-2: LayerNorm, learned positions, an MLP without a gate, and matrices stored input first."""

from assay.subjects.architectures import Architecture, read_by, returned_by

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
    follow={"m": lambda sizes: 4 * sizes["d"]},
    prefix="transformer.",
    stored={
        "wte.weight": "v d",
        "wpe.weight": "positions d",
        "ln_f.weight": "d",
        "h.*.mlp.c_fc.weight": "d m",
    },
    tied=True,
    blocks="h",
    final_norm="ln_f",
    sites={
        "resid_pre": read_by(""),
        "z": read_by("attn.c_proj"),
        "attn_out": returned_by("attn.c_proj"),
        "resid_mid": read_by("ln_2", shared=True),
        "mlp_pre": returned_by("mlp.c_fc"),
        "mlp_post": read_by("mlp.c_proj"),
        "mlp_out": returned_by("mlp.c_proj"),
        "resid_post": returned_by(""),
    },
)
