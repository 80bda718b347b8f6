"""Llama Scope: what Language-Model-SAEs writes, `hyperparams.json` with `checkpoints/`, and later
`config.json` with one file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.formats.format import Coder, Format, Hints, Reading, Source, jumping
from assay.dictionaries.formats.weights import Weights, command_for, one_of, settings, whole
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import TopK

SETTINGS, LATER = "hyperparams.json", "config.json"
WEIGHTS = ("checkpoints/pruned.safetensors", "checkpoints/final.safetensors")
_LOG_THRESHOLD = ("log_jumprelu_threshold", "activation_function.log_jumprelu_threshold")
_NORM = "dataset_average_activation_norm"
_SCALED = {"dataset-wise": True, "inference": False, "none": False}


def fits(weight_file: Source) -> bool:
    """Whether the tensors are a linear encoder's and decoder's, in a file that one of the two
    layouts has."""
    linear = {"encoder.weight", "encoder.bias", "decoder.weight"} <= set(weight_file.values)
    return (
        linear
        and weight_file.file.suffix == ".safetensors"
        and bool(_settings_file(weight_file).name)
    )


def open_file(weight_file: Source) -> Source:
    """A weight file with its settings, which are above `checkpoints` or next to it."""
    file = _settings_file(weight_file)
    config = settings(file if file.name else weight_file.file.parent / LATER)
    return replace(weight_file, config=config, folder=file.parent)


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of a Llama Scope folder, as Language-Model-SAEs computes it: inputs of mean
    length √d, thresholds on features times the lengths of decoder rows.

    Raises: DataError for what is missing, unknown or contradictory, and where the mean length of
    the inputs is not in the folder."""
    config, path = source.config, source.place / SETTINGS
    path = path if path.exists() else source.place / LATER
    _refuse(config, path)
    norms = {
        n.removeprefix(f"{_NORM}."): v
        for n, v in source.values.items()
        if n.startswith(f"{_NORM}.")
    }
    values = {n: v for n, v in source.values.items() if not n.startswith(f"{_NORM}.")}
    sizes = {"d_in": config.get("d_model"), "N": config.get("d_sae")}
    weights = Weights(source.file, values, **sizes)
    W_enc, b_enc = weights.take("encoder.weight", "N", "d_in").mT, weights.take("encoder.bias", "N")
    W_dec = weights.take("decoder.weight", "d_out", "N").mT
    b_dec = weights.take_if("decoder.bias", "d_out")
    logarithms = (weights.take_if(name, "N") for name in _LOG_THRESHOLD)
    logarithm = next((tensor for tensor in logarithms if tensor is not None), None)
    weights.end("a Llama Scope file")
    into, out = _factors(source, hints, norms)
    by_length = bool(config.get("sparsity_include_decoder_norm", True))
    kind, parameters = _nonlinearity(source, hints, b_enc, logarithm, out if by_length else into)
    centred = config.get("apply_decoder_bias_to_pre_encoder", logarithm is None)
    coder = Coder(
        W_enc,
        b_enc,
        W_dec,
        torch.zeros(W_dec.shape[1]) if b_dec is None else b_dec,
        kind,
        centred=bool(b_dec is not None and centred),
        own=parameters,
    )
    coder = coder.unit_rows() if by_length else coder
    if coder.centred and into != out:
        raise DataError(
            f"{path}: apply_decoder_bias_to_pre_encoder with a target of another length is "
            "not supported"
        )
    if into != 1.0 or out != 1.0:
        coder = replace(
            coder.scaled(into), W_dec=coder.W_dec.double() / out, b_dec=coder.b_dec.double() / out
        )
    site, target = config.get("hook_point_in"), config.get("hook_point_out")
    return Reading(
        coder=coder,
        architecture=str(config.get("act_fn")),
        site=site,
        site_out=None if target == site else target,
    )


def _refuse(config: Mapping[str, Any], path: Path) -> None:
    """Refuse what is no function of one activation. Raises: DataError."""
    if config.get("use_glu_encoder"):
        raise DataError(
            f"{path}: use_glu_encoder: its features are products of two projections, which no "
            "Dictionary has"
        )
    if config.get("sae_type", "sae") != "sae":
        raise DataError(
            f"{path}: sae_type {config['sae_type']!r} does not encode one activation; sae does"
        )


def _settings_file(weight_file: Source) -> Path:
    """The settings that belong to a file; an empty path where there are none of this format."""
    folder = weight_file.file.absolute().parent
    first = (folder.parent if folder.name == "checkpoints" else folder) / SETTINGS
    if first.is_file():
        return first
    later = folder / LATER
    return (
        later
        if later.is_file() and any(name in weight_file.values for name in _LOG_THRESHOLD)
        else Path()
    )


def _factors(source: Source, hints: Hints, norms: dict[str, torch.Tensor]) -> tuple[float, float]:
    """By what inputs, and targets, were multiplied in training; 1 where the weights are for
    activations as they are."""
    config, path = source.config, source.place
    if not one_of(config.get("norm_activation", "dataset-wise"), _SCALED, "norm_activation", path):
        if hints.scale is not None:
            raise DataError(
                f"{path}: a scale has no place: its weights are for activations as they are"
            )
        return 1.0, 1.0
    if hints.scale is not None:
        return hints.scale, hints.scale
    stated = config.get(_NORM) or {}
    if not isinstance(stated, dict):
        raise DataError(f"{path}: {_NORM} must be an object with in and out, got {stated!r}")
    entries = [
        stated.get(
            way, norms.get(str(config.get(f"hook_point_{way}", config.get("hook_point_in"))))
        )
        for way in ("in", "out")
    ]
    plain = [x.item() if isinstance(x, torch.Tensor) and x.numel() == 1 else x for x in entries]
    mean_norms = [float(x) for x in plain if isinstance(x, int | float) and not isinstance(x, bool)]
    if len(mean_norms) < 2 or not all(0 < x < math.inf for x in mean_norms):
        raise DataError(
            f"{path} does not say the mean length of its inputs ({_NORM}); give √d over it: "
            + command_for(path.parent, scale="NUMBER")
        )
    d = source.values["encoder.weight"].shape[1]
    return math.sqrt(d) / mean_norms[0], math.sqrt(d) / mean_norms[1]


def _nonlinearity(
    source: Source, hints: Hints, b_enc: torch.Tensor, logarithm: torch.Tensor | None, grown: float
) -> tuple[Nonlinearity, dict[str, torch.Tensor]]:
    """What turns projections into features. The one threshold of the first release is in units of
    raw activations, later ones are not."""
    config, path = source.config, source.place
    name = one_of(
        config.get("act_fn", "relu"),
        {"relu": "relu", "topk": "topk", "jumprelu": "jumprelu"},
        "act_fn",
        path,
    )
    threshold = config.get("jump_relu_threshold", 0.0)
    if logarithm is not None and name == "jumprelu":
        jump = jumping(logarithm.exp())
    elif name == "jumprelu" or (
        name == "topk" and isinstance(threshold, int | float) and threshold > 0
    ):  # its inference is by the threshold
        if (
            isinstance(threshold, bool)
            or not isinstance(threshold, int | float)
            or not 0 <= threshold < math.inf
        ):
            raise DataError(
                f"{path}: jump_relu_threshold must be a number of at least 0, got {threshold!r}"
            )
        jump = jumping(torch.full_like(b_enc, threshold * grown))
    elif name == "topk":
        return TopK(
            whole(config.get("top_k") if hints.k is None else hints.k, "top_k", path, len(b_enc))
        ), {}
    else:
        return ReLU(), {}
    return jump["nonlinearity"], jump["own"]


FORMAT = Format(
    name="llama-scope",
    suffixes=(".safetensors",),
    files=WEIGHTS,
    settings=SETTINGS,
    read_with=(SETTINGS, LATER),
    fits=fits,
    open=open_file,
    read=read,
)
