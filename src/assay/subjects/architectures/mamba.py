"""Mamba: blocks of one mixer each, a short convolution, a selective scan and a gate; most of its sites are its own."""

from typing import Any

from assay.subjects.architectures import Architecture, read_by, returned_by
from assay.subjects.mamba_sites import KINDS


def _open_up(model: Any) -> None:
    from assay.subjects.mamba_hooked import open_up

    open_up(model)


MAMBA = Architecture(
    name="mamba",
    sizes={"layers": "num_hidden_layers", "d": "hidden_size", "c": "intermediate_size", "n": "state_size", "v": "vocab_size"},
    follow={"c": lambda sizes: 2 * sizes["d"]},
    prefix="backbone.",
    stored={
        "embeddings.weight": "v d", "norm_f.weight": "d", "layers.*.mixer.A_log": "c n", "layers.*.mixer.out_proj.weight": "d c",
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
)  # fmt: skip
