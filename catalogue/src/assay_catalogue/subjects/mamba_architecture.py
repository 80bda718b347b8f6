"""Mamba: blocks of one mixer each, a short convolution, a selective scan and a gate; most of its
sites are its own."""

from typing import Any

from assay.subjects.architectures import Architecture, read_by, returned_by

KINDS = {
    "in_proj": ("hook_in_proj", "b s c"),
    "gate": ("hook_skip", "b s c"),
    "conv": ("hook_conv", "b s c"),
    "ssm_in": ("hook_ssm_input", "b s c"),
    "delta": ("hook_delta", "b s c"),
    "B": ("hook_B", "b s n"),
    "C": ("hook_C", "b s n"),
    "write": ("hook_write", "b s c n"),
    "state": ("hook_state", "b s c n"),
    "ssm_out": ("hook_ssm_output", "b s c"),
    "gated": ("hook_after_skip", "b s c"),
    "mixer_out": ("hook_out_proj", "b s d"),
}
"""The sites that only a Mamba has, in the order of a forward pass: what its mixer reads, makes and
writes. Names are those of MambaLens.

`write` is what a position adds to the state, and an edit of it is carried on to later positions;
`state` is what the position itself reads, and an edit of it stays there: hence they have names of
their own."""


def _open_up(model: Any) -> None:
    from assay_catalogue.subjects.mamba_hooked import open_up

    open_up(model)


MAMBA = Architecture(
    name="mamba",
    sizes={
        "layers": "num_hidden_layers",
        "d": "hidden_size",
        "c": "intermediate_size",
        "n": "state_size",
        "v": "vocab_size",
    },
    follow={"c": lambda sizes: 2 * sizes["d"]},
    prefix="backbone.",
    stored={
        "embeddings.weight": "v d",
        "norm_f.weight": "d",
        "layers.*.mixer.A_log": "c n",
        "layers.*.mixer.out_proj.weight": "d c",
    },
    tied=True,
    blocks="layers",
    final_norm="norm_f",
    sites={
        "resid_pre": read_by(""),
        **{kind: returned_by(f"mixer.sites.{kind}") for kind in KINDS},
        "resid_post": returned_by(""),
    },
    kinds=KINDS,
    open_up=_open_up,
    traits=("blocks of one mixer each: a convolution, a selective scan and a gate, no attention",),
)
