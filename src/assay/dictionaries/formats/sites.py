"""Peers' names for places in a model → the names of TransformerLens, which Assay uses. All of these
are inferences."""

from __future__ import annotations

import re
from pathlib import Path

_GEMMA = {"res": "hook_resid_post", "mlp": "hook_mlp_out", "att": "attn.hook_z"}
_GEMMA_2 = {
    "output": "hook_resid_post",
    "self_attn.o_proj.input": "attn.hook_z",
    "post_feedforward_layernorm.output": "hook_mlp_out",
    "pre_feedforward_layernorm.output": "mlp.hook_in",
}
_SUBMODULE = {
    "resid_post": "hook_resid_post",
    "resid_pre": "hook_resid_pre",
    "mlp_out": "hook_mlp_out",
    "mlp": "hook_mlp_out",
    "attention_out": "hook_attn_out",
    "attn_out": "hook_attn_out",
    "attn": "hook_attn_out",
}
_MLP_IN, _NORMALIZED = "mlp.hook_in", "ln2.hook_normalized"
"""What the module reads; and before the norm's weight, where Gemma Scope folded that into the
MLP."""


def of_module(name: str, transcode: bool) -> tuple[str | None, str | None]:
    """Where a module's coder reads and writes: `layers.9` is a block, whose output is the stream
    after it; None where unknown."""
    if name.split(".")[-1] in ("embed_tokens", "wte", "embed_in"):
        return ("hook_embed", None)
    match = re.fullmatch(r"(?:[\w.]+\.)?(?:layers|h|blocks)[._](\d+)(?:\.(\w+))?", name)
    if not match:
        return (None, None)
    block, part = f"blocks.{match[1]}", match[2]
    if part == "mlp":
        return (
            (f"{block}.{_MLP_IN}", f"{block}.hook_mlp_out")
            if transcode
            else (f"{block}.hook_mlp_out", None)
        )
    if part in ("attn", "attention", "self_attn") and not transcode:
        return (f"{block}.hook_attn_out", None)
    if part is None:
        return (
            (f"{block}.hook_resid_pre", f"{block}.hook_resid_post")
            if transcode
            else (f"{block}.hook_resid_post", None)
        )
    return (None, None)


def of_submodule(name: object, layer: object) -> str | None:
    """The site of a dictionary_learning config's `submodule_name` and `layer`, such as
    `resid_post_layer_9` and 9."""
    if not isinstance(name, str) or not isinstance(layer, int):
        return None
    kind = re.sub(r"_layer_\d+$", "", name)
    return f"blocks.{layer}.{_SUBMODULE[kind]}" if kind in _SUBMODULE else None


def of_gemma_path(path: Path) -> tuple[str | None, str | None]:
    """Sites in a path such as
    `gemma-scope-2b-pt-res/layer_9/width_16k/average_l0_71/params.npz`."""
    text = "/".join(path.absolute().parts)
    layer, release = (
        re.search(r"layer_(\d+)/", text),
        re.search(r"gemma-scope-[\w.-]*-(res|mlp|att|transcoders)\b", text),
    )
    if release is None:
        return (None, None)
    if "/embedding/" in text:
        return ("hook_embed", None)
    if layer is None:
        return (None, None)
    block = f"blocks.{layer[1]}"
    return (
        (f"{block}.{_NORMALIZED}", f"{block}.hook_mlp_out")
        if release[1] == "transcoders"
        else (f"{block}.{_GEMMA[release[1]]}", None)
    )


def of_gemma_hook(name: object) -> str | None:
    """The site of a Gemma Scope 2 hook such as `model.layers.9.output`."""
    match = re.fullmatch(r"model\.layers\.(\d+)\.([\w.]+)", name) if isinstance(name, str) else None
    return f"blocks.{match[1]}.{_GEMMA_2[match[2]]}" if match and match[2] in _GEMMA_2 else None
