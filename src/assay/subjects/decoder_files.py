"""A decoder of our own as an ordinary model folder: GPT-2's or Llama's configuration, and the
weights under their names and layouts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from assay.core.errors import SpecError
from assay.core.heavy import torch
from assay.subjects.decoder import EPS, Params, Shape

Family = Literal["gpt2", "llama"]

GPT2: Mapping[str, str] = {
    "W_E": "transformer.wte.weight",
    "W_pos": "transformer.wpe.weight",
    "gain_1": "transformer.h.{}.ln_1.weight",
    "bias_1": "transformer.h.{}.ln_1.bias",
    "W_QKV": "transformer.h.{}.attn.c_attn.weight",
    "b_QKV": "transformer.h.{}.attn.c_attn.bias",
    "W_O": "transformer.h.{}.attn.c_proj.weight",
    "b_O": "transformer.h.{}.attn.c_proj.bias",
    "gain_2": "transformer.h.{}.ln_2.weight",
    "bias_2": "transformer.h.{}.ln_2.bias",
    "W_gate": "transformer.h.{}.mlp.c_gate.weight",
    "W_in": "transformer.h.{}.mlp.c_fc.weight",
    "b_in": "transformer.h.{}.mlp.c_fc.bias",
    "W_out": "transformer.h.{}.mlp.c_proj.weight",
    "b_out": "transformer.h.{}.mlp.c_proj.bias",
    "gain": "transformer.ln_f.weight",
    "bias": "transformer.ln_f.bias",
    "W_U": "lm_head.weight",
}
"""Our names → GPT-2's, {} for the block. It has no gate; ours stands here for whoever draws
parameters by these names."""
LLAMA: Mapping[str, str] = {
    "W_E": "model.embed_tokens.weight",
    "gain_1": "model.layers.{}.input_layernorm.weight",
    "W_O": "model.layers.{}.self_attn.o_proj.weight",
    "gain_2": "model.layers.{}.post_attention_layernorm.weight",
    "W_gate": "model.layers.{}.mlp.gate_proj.weight",
    "W_in": "model.layers.{}.mlp.up_proj.weight",
    "W_out": "model.layers.{}.mlp.down_proj.weight",
    "gain": "model.norm.weight",
    "W_U": "lm_head.weight",
}
_QKV = "model.layers.{}.self_attn.{}_proj.weight"


def family(shape: Shape) -> Family:
    """Find whose configuration expresses a decoder. Raises: SpecError where none that Assay reads
    does."""
    parts = (shape.norm, shape.positions, shape.gated)
    if shape.d_head or shape.answers or not shape.m:
        raise SpecError(
            "no model folder can hold a decoder whose heads do not share the width of the stream, "
            "whose logits are not of its tokens, or that "
            f"has no MLP, got d_head={shape.d_head}, answers={shape.answers} and m={shape.m}"
        )
    if parts == ("layer", "learned", False):
        return "gpt2"
    if parts == ("rms", "rotary", True):
        return "llama"
    description = (
        f"norm={shape.norm}, positions={shape.positions}, gated={str(shape.gated).lower()}"
    )
    raise SpecError(
        f"no model folder can hold a decoder with {description}: GPT-2's has layer, learned and no "
        "gate, Llama's rms, rotary and a gated MLP"
    )


def config(shape: Shape) -> Any:
    """The transformers configuration of a decoder. Raises: SpecError where none expresses it."""
    import transformers

    s, nobody = shape, dict[str, Any](bos_token_id=None, eos_token_id=None)
    if family(s) == "gpt2":
        return transformers.GPT2Config(
            vocab_size=s.vocab,
            n_positions=s.context,
            n_embd=s.d,
            n_layer=s.layers,
            n_head=s.heads,
            n_inner=s.m,
            activation_function=s.activation,
            tie_word_embeddings=s.tied,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **nobody,
        )
    return transformers.LlamaConfig(
        vocab_size=s.vocab,
        max_position_embeddings=s.context,
        hidden_size=s.d,
        num_hidden_layers=s.layers,
        num_attention_heads=s.heads,
        num_key_value_heads=s.heads,
        intermediate_size=s.m,
        hidden_act=s.activation,
        rms_norm_eps=EPS,
        tie_word_embeddings=s.tied,
        pad_token_id=None,
        **nobody,
    )


def stored(params: Params, shape: Shape, run: int = 0) -> dict[str, torch.Tensor]:
    """One run's weights under the names, and in the layouts, of GPT-2 or Llama. Raises: SpecError
    where neither expresses them."""
    run_params = {
        name: value[run].detach().cpu().float()
        for name, value in params.items()
        if name in shape.parameters()
    }
    names = GPT2 if family(shape) == "gpt2" else LLAMA
    out: dict[str, torch.Tensor] = {}
    for name, value in run_params.items():
        for layer, weight in enumerate(value) if "{}" in GPT2[name] else [(0, value)]:
            if names is LLAMA and name == "W_QKV":
                out |= {
                    _QKV.format(layer, part): weight[:, i].flatten(1).T
                    for i, part in enumerate("qkv")
                }
            else:
                out[names[name].format(layer)] = _laid_out(
                    name, weight, outputs_first=names is LLAMA
                )
    return {name: value.contiguous() for name, value in out.items()}


def _laid_out(name: str, weight: torch.Tensor, *, outputs_first: bool) -> torch.Tensor:
    """One parameter of a block as it is stored: GPT-2 keeps matrices of blocks input first, and
    only the unembedding output first."""
    if name in ("W_QKV", "b_QKV"):
        weight = weight.flatten(1) if name == "W_QKV" else weight.flatten()
    elif name == "W_O":
        weight = weight.flatten(0, 1)
    turned = name == "W_U" or (outputs_first and name in ("W_O", "W_gate", "W_in", "W_out"))
    return weight.T if turned else weight


def write(
    folder: Path,
    params: Params,
    shape: Shape,
    tokenizer: Path,
    about: Mapping[str, Any],
    run: int = 0,
) -> None:
    """Write one run as a model folder: config, weights, tokenizer, and what is said about it in
    assay.json.

    Raises: SpecError where no configuration expresses the decoder.
    """
    write_folder(folder, config(shape), stored(params, shape, run), tokenizer, about)


def write_folder(
    folder: Path,
    config: Any,
    weights: Mapping[str, torch.Tensor],
    tokenizer: Path,
    about: Mapping[str, Any],
) -> None:
    """Write a model folder in transformers' format: configuration, weights, tokenizer, and what is
    said about it in assay.json."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(weights), folder / "model.safetensors", {"format": "pt"})
    config.save_pretrained(folder)
    shutil.copy(tokenizer, folder / "tokenizer.json")
    (folder / "assay.json").write_text(json.dumps(about))
