"""circuit-tracer's transcoders: `layer_N.safetensors`, one layer each, and `W_enc_N` with
`W_dec_N`, which write to all later layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.formats.format import (
    UNKNOWN,
    Coder,
    Format,
    Hints,
    Reading,
    Source,
    jumping,
    unread,
)
from assay.dictionaries.formats.weights import Weights, command_for, safetensors, yaml_mapping
from assay.dictionaries.nonlinearity import ReLU

CONFIG = "config.yaml"
_ONE, _CROSS = re.compile(r"layer_(\d+)"), re.compile(r"W_enc_(\d+)")
_HOOKS = {"mlp.hook_out": "hook_mlp_out"}
_HOOK_KEYS = {
    "feature_input_hook": ("site", "mlp.hook_in"),
    "feature_output_hook": ("site_out", "mlp.hook_out"),
}
"""What each is to us, and what it is where nothing says it."""
KNOWN = """
model_name feature_input_hook feature_output_hook
model_kind scan transcoders repo_id subfolder revision
"""
"""Keys of config.yaml that Assay uses, in the first line, and those that say what it is called."""
_PARTS = {"W_enc", "b_enc", "W_dec", "b_dec"}
_LONGEST = 2**20  # bytes of config.yaml; known ones have a few thousand


def fits(weight_file: Source) -> bool:
    """Whether name and tensors are those of one layer's transcoder, or of one layer's part of a
    cross-layer transcoder."""
    if cross := _CROSS.fullmatch(weight_file.file.stem):
        return f"b_enc_{cross[1]}" in weight_file.values
    return bool(_ONE.fullmatch(weight_file.file.stem)) and set(weight_file.values) >= _PARTS


def open_file(weight_file: Source) -> Source:
    """A weight file with the folder's `config.yaml`, where there is one; of a cross-layer
    transcoder with the decoder beside it."""
    values, cross = dict(weight_file.values), _CROSS.fullmatch(weight_file.file.stem)
    if cross:
        values |= safetensors(weight_file.file.with_name(f"W_dec_{cross[1]}.safetensors"))[0]
        values = {name.removesuffix(f"_{cross[1]}"): value for name, value in values.items()}
    config = _config(weight_file.file.parent / CONFIG)
    return replace(weight_file, values=values, config=config)


def read(source: Source, hints: Hints) -> Reading:
    """The transcoder of one layer: ReLU, or JumpReLU where thresholds are stored; not centred.

    Of a cross-layer transcoder the decoder rows to all layers are summed, as SAELens does: its
    features are right, its sum is the reconstruction of no one place, so its target is unknown.
    Raises: DataError for what is missing or left over, and for a square decoder, which fits both
    ways round."""
    weights = Weights(source.file, source.values)
    b_enc, b_dec = weights.take("b_enc", "N"), weights.take("b_dec", "d_out")
    W_enc = weights.take("W_enc", "N", "d_in").mT
    cross = _CROSS.fullmatch(source.file.stem)
    W_dec = (
        weights.take("W_dec", "N", "layers", "d_out").sum(1) if cross else _decoder(weights, source)
    )
    skip = weights.take_if("W_skip", "d_out", "d_in")
    threshold = next(
        (
            weights.take(n, "N")
            for n in ("threshold", "activation_function.threshold")
            if n in weights.left
        ),
        None,
    )
    weights.end("a transcoder of circuit-tracer")
    inferred = ["W_dec summed over the layers it writes to"] if cross else []
    site, target = _places(source, inferred)
    kind: dict[str, Any] = {"nonlinearity": ReLU()} if threshold is None else jumping(threshold)
    W_skip = None if skip is None else skip.mT
    return Reading(
        coder=Coder(W_enc, b_enc, W_dec, b_dec, centred=False, W_skip=W_skip, **kind),
        architecture="cross-layer-transcoder" if cross else "transcoder",
        site=site,
        site_out=UNKNOWN if cross else target,
        inferred=inferred,
        config={
            key: source.config[key] for key in ("model_name", *_HOOK_KEYS) if key in source.config
        },
        unread=unread(source.config, KNOWN),
    )


def _decoder(weights: Weights, source: Source) -> torch.Tensor:
    """W_dec [N d_out]: some releases store it that way round and some the other, which its biases
    tell apart unless it is square."""
    n, d = weights.sizes["N"], weights.sizes["d_out"]
    if n == d and not source.stated:
        raise DataError(
            f"{source.file}: W_dec is square, so both orientations fit; say that rows are "
            f"features: {command_for(source.file, format='circuit-tracer')}"
        )
    if n != d and tuple(weights.left["W_dec"].shape) == (d, n):
        return weights.take("W_dec", "d_out", "N").mT
    return weights.take("W_dec", "N", "d_out")


def _places(source: Source, inferred: list[str]) -> tuple[str | None, str | None]:
    """Where it reads and writes: the hooks of `config.yaml`, else an MLP's input and output, at the
    layer in the file's name."""
    layer = _ONE.fullmatch(source.file.stem) or _CROSS.fullmatch(source.file.stem)
    if layer is None:
        return None, None
    hooks = []
    for key, (name, usual) in _HOOK_KEYS.items():
        hook = source.config.get(key)
        if hook is None:
            inferred.append(name)
            hook = usual
        hooks.append(f"blocks.{layer[1]}.{_HOOKS.get(hook, hook)}")
    return hooks[0], hooks[1]


def _config(path: Path) -> Mapping[str, Any]:
    """The model and hooks of a set of transcoders; {} where there are no settings. Raises:
    DataError where they are no mapping."""
    if not path.is_file():
        return {}
    values = yaml_mapping(path, _LONGEST)
    for key in _HOOK_KEYS:
        if key in values and not isinstance(values[key], str):
            raise DataError(f"{path}: {key} must be the name of a hook, got {values[key]!r}")
    return {str(key): value for key, value in values.items()}


FORMAT = Format(
    name="circuit-tracer",
    suffixes=(".safetensors",),
    beside=(CONFIG, "W_dec_{number}.safetensors"),
    fits=fits,
    open=open_file,
    read=read,
    unscaled="these transcoders take raw activations",
)
