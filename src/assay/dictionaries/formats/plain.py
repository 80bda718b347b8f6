"""plain: the state dict of a dictionary that one trained oneself, under names that most training
code uses, in a `.pt` or safetensors file without settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assay.core.errors import DataError
from assay.dictionaries.formats.format import TORCH, Coder, Format, Hints, Reading, Source, jumping
from assay.dictionaries.formats.saelens import WEIGHTS
from assay.dictionaries.formats.weights import Weights, command_for, one_of, whole
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK

NAMES = (
    {"W_enc": "d N", "b_enc": "N", "W_dec": "N d", "b_dec": "d"},
    {"encoder.weight": "N d", "encoder.bias": "N", "decoder.weight": "d N", "decoder.bias": "d"},
    {"encoder.weight": "N d", "encoder.bias": "N", "decoder.weight": "d N", "b_dec": "d"},
    {"encoder.weight": "N d", "encoder.bias": "N", "decoder.weight": "d N", "bias": "d"},
    {"encoder.weight": "N d", "b_enc": "N", "decoder.weight": "d N", "b_dec": "d"},
    {
        "encoder_linear.weight": "N d",
        "encoder_linear.bias": "N",
        "decoder_linear.weight": "d N",
        "decoder_linear.bias": "d",
    },
)
"""Names with their dimensions: encoder, its bias, decoder, its bias."""
INSIDE = ("state_dict", "model_state_dict", "model", "sae", "ae", "autoencoder", "module")
"""Where a checkpoint keeps the state dict, and prefixes of its names."""
ARCHITECTURES = {name: name for name in ("relu", "topk", "jumprelu")}
ARCHITECTURES |= {f"{name}-uncentred": name for name in ARCHITECTURES}
"""What the user may say of it → how features are computed."""
EXAMPLE = {
    "architecture": "NAME",
    "site": "blocks.N.hook_resid_post",
    "context": "NUMBER",
    "bos": "yes/no",
}
"""All that such a file leaves open, to be filled in: a wrong value would be taken as it is."""


def open_file(weight_file: Source) -> Source:
    """The file with its state dict alone, under names without a prefix."""
    values: Mapping[str, Any] = weight_file.values
    while inner := next((name for name in INSIDE if isinstance(values.get(name), dict)), None):
        values = values[inner]
    for prefix in INSIDE:
        if values and all(str(name).startswith(f"{prefix}.") for name in values):
            values = {name.removeprefix(f"{prefix}."): value for name, value in values.items()}
    return replace(weight_file, values=values)


def holds(weight_file: Source) -> bool:
    """Whether the file has an encoder and a decoder under such names. One that is called as SAELens
    calls it has lost its settings, which say more."""
    return weight_file.file.name != WEIGHTS and _names(open_file(weight_file)) is not None


def _names(source: Source) -> Mapping[str, str] | None:
    return next((names for names in NAMES if names.keys() <= source.values.keys()), None)


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of a state dict. The user says how features are computed, and whether the
    decoder's bias is subtracted first.

    Raises: DataError where that is not said, and for what is missing or left over."""
    if (names := _names(source)) is None:
        raise DataError(
            f"{source.file} has no encoder and decoder under names such as {', '.join(NAMES[0])}"
        )
    if hints.architecture is None:
        raise DataError(
            f"{source.file} does not say how features are computed, at which site, how long the "
            "windows were, and whether they began with a BOS; filled in, "
            + command_for(source.file, **EXAMPLE)
            + f"; architectures are {', '.join(ARCHITECTURES)} (uncentred: the decoder's bias is "
            "not subtracted from the input)"
        )
    kind = one_of(hints.architecture, ARCHITECTURES, "architecture", source.file)
    weights = Weights(source.file, source.values)
    in_order = sorted(names.items(), key=lambda name: len(name[1]))  # biases say what is turned
    taken = {name: weights.take(name, *dims.split()) for name, dims in in_order}
    W_enc, b_enc, W_dec, b_dec = (taken[name] for name in names)
    if names is not NAMES[0]:
        W_enc, W_dec = W_enc.mT, W_dec.mT
    parts: dict[str, Any] = {"nonlinearity": ReLU()}
    if kind == "topk":
        stored = weights.number("k")
        stated = {name: value for name, value in vars(hints).items() if value is not None}
        k = stored if hints.k is None else hints.k
        k = whole(k, "k", source.file, len(b_enc), **stated)
        parts = {"nonlinearity": TopK(k)}
    elif kind == "jumprelu":
        parts = jumping(weights.take("threshold", "N"))
    weights.end(f"a dictionary of the kind {kind}")
    centred = not hints.architecture.endswith("-uncentred")
    return Reading(
        coder=Coder(W_enc, b_enc, W_dec, b_dec, **parts, centred=centred),
        architecture=hints.architecture,
    )


FORMAT = Format(
    name="plain",
    suffixes=(*TORCH, ".safetensors"),
    open=open_file,
    read=read,
    unscaled="divide the weights by it instead",
)
