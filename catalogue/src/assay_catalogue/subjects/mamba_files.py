"""A Mamba of our own as an ordinary model folder in transformers' format, and such a folder as
parameters with a run axis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.core.errors import ModelError, SpecError
from assay.core.heavy import torch
from assay.subjects.decoder import EPS, write_folder
from assay.subjects.folder import find
from assay.subjects.pretrained import load
from assay_catalogue.subjects.mamba import Params, Shape

MATRICES: Mapping[str, str] = {"W_delta_2": "dt_proj.weight", "W_out": "out_proj.weight"}
"""Our names → those within transformers' mixer, stored output first; W_in and W_gate share one, as
do W_delta_1, W_B and W_C."""
VECTORS: Mapping[str, str] = {
    "b_conv": "conv1d.bias",
    "b_delta": "dt_proj.bias",
    "A_log": "A_log",
    "D": "D",
    "b_out": "out_proj.bias",
}


def mixer_from(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One mixer's parameters, without a run axis, from transformers' weights by their names within
    it; views where possible."""
    channels, state = stored["A_log"].shape
    rank = stored["x_proj.weight"].shape[0] - 2 * state
    enter, read = (
        stored["in_proj.weight"].split(channels),
        stored["x_proj.weight"].split([rank, state, state]),
    )
    out = {name: enter[i].T for i, name in enumerate(("W_in", "W_gate"))} | {
        "W_conv": stored["conv1d.weight"][:, 0]
    }
    out |= {name: read[i].T for i, name in enumerate(("W_delta_1", "W_B", "W_C"))}
    out |= {name: stored[theirs].T for name, theirs in MATRICES.items()}
    out |= {name: stored[theirs] for name, theirs in VECTORS.items() if theirs in stored}
    if "in_proj.bias" in stored:
        out["b_in"], out["b_gate"] = stored["in_proj.bias"].split(channels)
    return out


def _mixer_to(p: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of `mixer_from`."""
    out = {
        "in_proj.weight": torch.cat([p["W_in"].T, p["W_gate"].T]),
        "conv1d.weight": p["W_conv"].unsqueeze(1),
    }
    out |= {"x_proj.weight": torch.cat([p[name].T for name in ("W_delta_1", "W_B", "W_C")])}
    out |= {theirs: p[name].T for name, theirs in MATRICES.items()} | {
        theirs: p[name] for name, theirs in VECTORS.items() if name in p
    }
    return out | ({"in_proj.bias": torch.cat([p["b_in"], p["b_gate"]])} if "b_in" in p else {})


def config(shape: Shape) -> Any:
    """The transformers configuration of a Mamba. Raises: SpecError for one without a convolution or
    selection, which no folder can hold."""
    import transformers

    s = shape
    if not (s.conv and s.selective):
        raise SpecError(
            f"no model folder can hold a Mamba with conv={s.conv}, "
            f"selective={str(s.selective).lower()}: it needs both"
        )
    if s.channels % s.d:
        raise SpecError(
            "a model folder of Mamba needs channels that are a multiple of d, got "
            f"{s.channels} and d={s.d}"
        )
    return transformers.MambaConfig(
        vocab_size=s.vocab,
        hidden_size=s.d,
        state_size=s.state,
        num_hidden_layers=s.layers,
        expand=s.channels // s.d,
        conv_kernel=s.conv,
        time_step_rank=s.rank,
        use_bias=s.biases,
        use_conv_bias=s.conv_bias,
        tie_word_embeddings=s.tied,
        layer_norm_epsilon=EPS,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )


def stored(params: Params, shape: Shape, run: int = 0) -> dict[str, torch.Tensor]:
    """One run's weights under transformers' names and in its layouts."""
    run_params = {
        name: value[run].detach().cpu().float()
        for name, value in params.items()
        if name in shape.parameters()
    }
    out = {
        "backbone.embeddings.weight": run_params.pop("W_E"),
        "backbone.norm_f.weight": run_params.pop("gain"),
    }
    if "W_U" in run_params:
        out["lm_head.weight"] = run_params.pop("W_U").T
    for layer in range(shape.layers):
        layer_params, block = (
            {name: value[layer] for name, value in run_params.items()},
            f"backbone.layers.{layer}.",
        )
        out |= {f"{block}norm.weight": layer_params["gain_1"]} | {
            f"{block}mixer.{name}": value for name, value in _mixer_to(layer_params).items()
        }
    return {name: value.contiguous() for name, value in out.items()}


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

    Raises: SpecError where no configuration expresses the model.
    """
    write_folder(folder, config(shape), stored(params, shape, run), tokenizer, about)


def read(folder: str) -> tuple[dict[str, torch.Tensor], Shape]:
    """Parameters [1, …] and shape of the Mamba in a local folder, as `forward` of subjects/mamba.py
    takes them.

    Raises: ModelError for a folder that is incomplete, holds another architecture, or one that
    `forward` does not compute."""
    model_folder = find(folder)
    if (kind := model_folder.config["model_type"]) != "mamba":
        raise ModelError(f"{model_folder.path} holds a model of type {kind}, not a Mamba")
    model = load(folder).model
    settings, weights = model.config, dict(model.named_parameters(remove_duplicate=False))
    if settings.layer_norm_epsilon != EPS:
        raise ModelError(
            f"{model_folder.path}: layer_norm_epsilon must be {EPS}, got "
            f"{settings.layer_norm_epsilon}"
        )
    blocks = []
    for layer in range(settings.num_hidden_layers):
        block = f"backbone.layers.{layer}."
        mixer = {
            name.removeprefix(f"{block}mixer."): value
            for name, value in weights.items()
            if name.startswith(f"{block}mixer.")
        }
        blocks.append({"gain_1": weights[f"{block}norm.weight"]} | mixer_from(mixer))
    params = {
        "W_E": weights["backbone.embeddings.weight"],
        "gain": weights["backbone.norm_f.weight"],
    }
    params |= {name: torch.stack([block[name] for block in blocks]) for name in blocks[0]}
    # By identity: equal numbers in two tensors are two matrices.
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    params |= {} if tied else {"W_U": model.get_output_embeddings().weight.T}
    layers, d, channels = params["W_in"].shape
    shape = Shape(
        layers=layers,
        d=d,
        channels=channels,
        state=params["A_log"].shape[-1],
        rank=params["W_delta_2"].shape[1],
        vocab=len(params["W_E"]),
        conv=params["W_conv"].shape[-1],
        conv_bias="b_conv" in params,
        biases="b_in" in params,
        tied=tied,
    )
    return {name: value.detach()[None].clone() for name, value in params.items()}, shape
