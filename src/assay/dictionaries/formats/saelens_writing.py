"""A dictionary as the tensors and settings of a folder that SAELens reads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.fitting import LOADED_WITH, loaded_with
from assay.dictionaries.formats.format import Coder
from assay.dictionaries.gates import Gated, GatedShift, ScaledReLU
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU, inference
from assay.dictionaries.selection import AbsTopK, TopK

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
_VERSION = "6.54.12"  # of SAELens, whose reader was tried on what is written here
_KINDS = {
    ReLU: "standard",
    Gated: "gated",
    GatedShift: "gated",
    ScaledReLU: "gated",
    TopK: "topk",
    AbsTopK: "abstopk",
    JumpReLU: "jumprelu",
}
_TRANSCODERS = {ReLU: "transcoder", JumpReLU: "jumprelu_transcoder"}
_PER_TOKEN = {"": "none", "layer-norm": "layer_norm", "length": "constant_norm_rescale"}


def prepare(dictionary: Dictionary, model: str | None) -> Callable[[Path], list[str]]:
    """Give what fills a folder: one run's weights and settings, or a folder below for each run.
    Raises: DataError before anything is written.

    Mean, scale and centring go into weights and biases, computed in float64 and rounded once; where
    nothing has to be folded the weights keep their bits.
    """
    folders = [_saelens(single, model) for single in dictionary]
    below = ["."] if len(folders) == 1 else [f"run-{i}" for i in range(len(folders))]

    def fill(place: Path) -> list[str]:
        from safetensors.torch import save_file

        for name, (tensors, config) in zip(below, folders, strict=True):
            folder = place / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
            save_file(tensors, folder / WEIGHTS)
            shutil.copymode(
                folder / CONFIG, folder / WEIGHTS
            )  # safetensors gives other users no permission to read its files
        return below

    return fill


def _of_its_text(origin: Mapping[str, Any]) -> dict[str, Any]:
    """What the dictionary's file said of its model and text, in SAELens' names: without it a BOS
    would be lost on the way."""
    config = origin.get("config")
    config = config if isinstance(config, Mapping) else {}
    kinds = {"model_name": str, "dataset_path": str, "context_size": int, "prepend_bos": bool}
    stated = {key: config[key] for key, kind in kinds.items() if isinstance(config.get(key), kind)}
    asked = loaded_with(origin)
    return stated | ({LOADED_WITH: asked} if asked else {})


def _saelens(
    dictionary: Dictionary, model: str | None
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    read = inference(dictionary.nonlinearity)
    kind = _kind(dictionary, read)
    coder = _folded(dictionary, "transcoder" in kind)
    used = {"gated": ("b_mag", "r_mag"), "jumprelu": ("threshold",)}.get(kind.partition("_")[0], ())
    tensors = {
        "W_enc": coder.W_enc,
        "W_dec": coder.W_dec,
        "b_dec": coder.b_dec,
        **{name: coder.own[name] for name in used},
    }
    tensors["b_gate" if kind == "gated" else "b_enc"] = coder.b_enc
    if coder.W_skip is not None:
        tensors["W_skip"] = coder.W_skip.mT
    is_hook_z = any(site.endswith("hook_z") for site in dictionary.sites)
    config: dict[str, Any] = {
        "architecture": kind,
        "d_in": dictionary.W_enc.shape[1],
        "d_sae": dictionary.width,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": coder.centred,
        "normalize_activations": _PER_TOKEN[dictionary.per_token],
        "reshape_activations": "hook_z" if is_hook_z else "none",
        "metadata": _metadata(dictionary, kind, model),
    }
    config |= {"d_out": dictionary.W_dec.shape[2]} if "transcoder" in kind else {}
    if isinstance(read, TopK | AbsTopK):
        config |= {"k": read.k, "rescale_acts_by_decoder_norm": False}
    copied = {
        name: value.float().clone(memory_format=torch.contiguous_format)
        for name, value in tensors.items()
    }
    return copied, config  # safetensors refuses tensors that lie in one memory, as tied weights may


def _kind(dictionary: Dictionary, read: Nonlinearity) -> str:
    """SAELens' name for the architecture. Raises: DataError where it has none."""
    transcoder = (
        bool(dictionary.sites_out) or dictionary.W_enc.shape[1] != dictionary.W_dec.shape[2]
    )
    if len(dictionary.sites) > 1 or len(dictionary.sites_out) > 1:
        raise DataError(
            "SAELens reads and writes one place each; a crosscoder over several cannot be "
            "written for it"
        )
    kinds = _TRANSCODERS if transcoder or dictionary.W_skip is not None else _KINDS
    kind = kinds.get(type(read))
    if kind is None:
        prefix = "a transcoder or skip connection with " if kinds is _TRANSCODERS else ""
        name = type(read).__name__
        raise DataError(
            f"SAELens has no architecture for {prefix}{name}; it carries "
            f"{', '.join(t.__name__ for t in kinds)}"
        )
    if dictionary.W_skip is not None:
        kind = kind.replace("transcoder", "skip_transcoder")
    if dictionary.per_token not in _PER_TOKEN:
        raise DataError(
            f"SAELens has no normalisation {dictionary.per_token!r}: its layer norm divides by σ + "
            "1e-5 and multiplies by σ"
        )
    if dictionary.per_token and "transcoder" in kind:
        raise DataError(
            f"SAELens normalises a transcoder's inputs alone; {dictionary.per_token} around the "
            "whole cannot be written for it"
        )
    return kind


def _metadata(dictionary: Dictionary, kind: str, model: str | None) -> dict[str, Any]:
    """What is known of a dictionary besides its numbers; without what is not known."""
    keys = ("format", "sha256", "trained_as", "trained_on")
    origin = {key: dictionary.origin[key] for key in keys if key in dictionary.origin}
    metadata: dict[str, Any] = {
        "sae_lens_version": _VERSION,
        "written_by": "Assay",
        **_of_its_text(dictionary.origin),
        "hook_name": next(iter(dictionary.sites), None),
        "assay_origin": origin or None,
    }
    metadata |= {"model_name": model} if model is not None else {}
    if "transcoder" in kind:
        metadata["hook_name_out"] = next(iter(dictionary.sites_out or dictionary.sites), None)
    return {key: value for key, value in metadata.items() if value is not None}


def _folded(dictionary: Dictionary, transcoder: bool) -> Coder:
    """The dictionary of one run for raw activations, without mean, scale and centre of its own."""
    dictionary = dictionary[0]
    centred = (
        dictionary.b_pre is None
        and dictionary.mean_out is None
        and dictionary.scale_out is None
        and not transcoder
    )
    coder = _as_it_is(dictionary, centred)
    centre = dictionary.b_dec[0] if dictionary.b_pre is None else dictionary.b_pre[0]
    s, s_out, m, m_out = (
        None if value is None else value[0].double()
        for value in (
            dictionary.scale,
            _first(dictionary.scale_out, dictionary.scale),
            dictionary.mean,
            _first(dictionary.mean_out, dictionary.mean),
        )
    )
    # raw 0 as a normalised activation, negated
    start = m if m is None or s is None else m * s
    if not centred:
        offset = centre.double() if start is None else centre.double() + start
        if bool((offset != 0).any()):
            coder = coder.shifted(offset @ coder.W_enc.double())
    W_skip = None if dictionary.W_skip is None else dictionary.W_skip[0]
    if W_skip is not None and start is not None:
        coder = replace(coder, b_dec=coder.b_dec.double() - start @ W_skip.double())
    if s is not None:
        each = s.expand(len(centre))[:, None]
        coder = replace(coder, W_enc=each * coder.W_enc.double())
        W_skip = None if W_skip is None else each * W_skip.double()
    if s_out is not None:
        coder = replace(
            coder, W_dec=coder.W_dec.double() / s_out, b_dec=coder.b_dec.double() / s_out
        )
        W_skip = None if W_skip is None else W_skip.double() / s_out
    b_dec = coder.b_dec if m_out is None else coder.b_dec.double() + m_out
    return replace(coder, W_skip=W_skip, b_dec=b_dec)


def _as_it_is(dictionary: Dictionary, centred: bool) -> Coder:
    """The dictionary of one run for normalised activations, with a nonlinearity that SAELens
    has."""
    b_enc = dictionary.b_enc[0]
    parameters = {name: value[0] for name, value in dictionary.own.items()}
    if isinstance(dictionary.nonlinearity, GatedShift):
        parameters["r_mag"] = torch.zeros_like(b_enc)
    elif isinstance(dictionary.nonlinearity, ScaledReLU):
        # both paths open at once, and the second is longer
        parameters["b_mag"] = b_enc.double() * parameters["r_mag"].double().exp()
    return Coder(
        dictionary.W_enc[0],
        b_enc,
        dictionary.W_dec[0],
        dictionary.b_dec[0],
        Gated() if "b_mag" in parameters else inference(dictionary.nonlinearity),
        centred,
        parameters,
    )


def _first(value: torch.Tensor | None, other: torch.Tensor | None) -> torch.Tensor | None:
    return other if value is None else value
