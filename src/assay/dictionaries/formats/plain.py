"""plain: the state dict of a dictionary that one trained oneself, under names that most training
code uses, in a `.pt` or safetensors file without settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.formats.format import (
    TORCH,
    Coder,
    Format,
    Hints,
    Reading,
    Source,
    jumping,
    unread,
)
from assay.dictionaries.formats.saelens import CONFIG, WEIGHTS
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
NUMBERS = {"k": "topk", "threshold": "jumprelu"}
"""What a checkpoint may keep next to the state dict → the kind of architecture that it is for."""
OF_TRAINING = "k threshold epoch step loss seed lr"
"""What a checkpoint keeps next to the state dict that is read or changes nothing."""
EXAMPLE = {
    "architecture": "NAME",
    "site": "blocks.N.hook_resid_post",
    "context": "NUMBER",
    "bos": "yes/no",
}
"""All that such a file leaves open, to be filled in: a wrong value would be taken as it is."""


def open_file(weight_file: Source) -> Source:
    """Give the file with its state dict alone, under names without a prefix, and with the other
    values of the checkpoint as its config."""
    values: Mapping[str, Any] = weight_file.values
    config = dict[str, Any]()
    while inner := next((name for name in INSIDE if isinstance(values.get(name), dict)), None):
        around = {name: x for name, x in values.items() if not isinstance(x, dict | list | tuple)}
        config |= {
            name: (x.item() if x.numel() == 1 else f"a tensor {list(x.shape)}")
            if isinstance(x, torch.Tensor)
            else x
            for name, x in around.items()
        }
        values = values[inner]
    for prefix in INSIDE:
        if values and all(str(name).startswith(f"{prefix}.") for name in values):
            values = {name.removeprefix(f"{prefix}."): value for name, value in values.items()}
    return replace(weight_file, values=values, config=config)


def holds(weight_file: Source, hints: Hints) -> bool:
    """Whether the file has an encoder and a decoder under such names. One that is called as SAELens
    calls it has settings that say more, or has lost them, unless its user says what it is."""
    file = weight_file.file
    is_own = hints.architecture in ARCHITECTURES and not file.with_name(CONFIG).exists()
    return (file.name != WEIGHTS or is_own) and _names(open_file(weight_file)) is not None


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
    parts = _nonlinearity(kind, weights, source, hints, b_enc)
    weights.end(f"a dictionary of the kind {kind}")
    centred = not hints.architecture.endswith("-uncentred")
    coder = Coder(W_enc, b_enc, W_dec, b_dec, **parts, centred=centred)
    hinted = " ".join(name for name, value in vars(hints).items() if value is not None)
    return Reading(
        coder=coder if hints.scale is None else coder.scaled(hints.scale),
        architecture=hints.architecture,
        unread=unread(source.config, f"{OF_TRAINING} {hinted}"),
    )


def _nonlinearity(
    kind: str, weights: Weights, source: Source, hints: Hints, b_enc: torch.Tensor
) -> dict[str, Any]:
    """How features are computed. Raises: DataError, also for a number that the kind does not
    have."""
    for name, owner in NUMBERS.items():
        if getattr(hints, name) is not None and kind != owner:
            raise DataError(
                f"{source.file}: {name} belongs to the architecture {owner}, and {kind} has none"
            )
    if kind != "jumprelu" and "threshold" in weights.left:
        raise DataError(
            f"{source.file} has a threshold, which belongs to the architecture jumprelu, as a "
            f"BatchTopK has after training; {kind} has none: save the file without it if its "
            "features do not depend on it"
        )
    if kind == "relu":
        return {"nonlinearity": ReLU()}
    k = _number("k", weights, source, hints)  # a BatchTopK uses it in training only
    stated = {name: value for name, value in vars(hints).items() if value is not None}
    if kind == "topk":
        return {"nonlinearity": TopK(whole(k, "k", source.file, len(b_enc), **stated))}
    stored = weights.left.get("threshold")
    if isinstance(stored, torch.Tensor) and stored.numel() > 1 and hints.threshold is None:
        return jumping(weights.take("threshold", "N"))
    of_all = _number("threshold", weights, source, hints)
    if of_all is None:
        raise DataError(
            f"{source.file} does not say threshold; "
            + command_for(source.file, **stated, threshold="NUMBER")
        )
    return jumping(torch.full_like(b_enc, of_all))


def _number(name: str, weights: Weights, source: Source, hints: Hints) -> float | None:
    """A number by its name: what the user says, else what the state dict or the checkpoint does."""
    stored = weights.number(name)
    around = Weights(source.file, source.config).number(name)
    return next((x for x in (getattr(hints, name), stored, around) if x is not None), None)


FORMAT = Format(
    name="plain",
    suffixes=(*TORCH, ".safetensors"),
    open=open_file,
    read=read,
)
