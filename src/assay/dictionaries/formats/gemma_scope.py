"""Gemma Scope: `params.npz`, identified by its path alone; Gemma Scope 2: `params.safetensors` with
`config.json`."""

from __future__ import annotations

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.formats import sites as places
from assay.dictionaries.formats.format import (
    Coder,
    Format,
    Hints,
    Reading,
    Source,
    jumping,
    unread,
    with_settings,
)
from assay.dictionaries.formats.weights import Weights, command_for

WEIGHTS, WEIGHTS_2, CONFIG_2 = "params.npz", "params.safetensors", "config.json"
KNOWN = """
architecture hf_hook_point_in hf_hook_point_out model_name width l0 type affine_connection
"""
"""Keys of the second release's settings: the first three Assay uses, the others say what the
tensors say."""
_RENAMED = {"w_enc": "W_enc", "w_dec": "W_dec"}


def fits(weight_file: Source) -> bool:
    """Whether it is an npz file, which only the first release wrote."""
    return weight_file.file.suffix == ".npz"


def open_file(weight_file: Source) -> Source:
    """A `params.npz`, or the `params.safetensors` of the second release with its settings."""
    return weight_file if fits(weight_file) else with_settings(CONFIG_2)(weight_file)


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of a Gemma Scope file: JumpReLU, never centred, for raw activations.

    Raises: DataError for what is missing, unknown or contradictory, for coders that write to
    several layers, and for a square `params.npz`, which both orientations fit.
    """
    second = bool(source.config)
    if second and source.config.get("architecture") != "jump_relu":
        raise DataError(
            f"{source.place / CONFIG_2}: architecture {source.config.get('architecture')!r} "
            "is not known; Gemma Scope 2 has jump_relu"
        )
    values = {_RENAMED.get(name, name): value for name, value in source.values.items()}
    if getattr(values.get("W_dec"), "ndim", 2) == 3:
        raise DataError(
            f"{source.file} writes to several layers at once (w_dec has three dimensions); "
            "read one layer's coder instead"
        )
    weights = Weights(source.file, values)
    W_enc, b_enc = weights.take("W_enc", "d_in", "N"), weights.take("b_enc", "N")
    W_dec, b_dec = weights.take("W_dec", "N", "d_out"), weights.take("b_dec", "d_out")
    threshold = weights.take("threshold", "N")
    skip = (
        weights.take("affine_skip_connection", "d_in", "d_out")
        if second and "affine_skip_connection" in values
        else None
    )
    stated = source.config.get("affine_connection")
    if isinstance(stated, bool) and stated != (skip is not None):
        raise DataError(
            f"{source.place / CONFIG_2}: affine_connection is {str(stated).lower()}, and "
            f"{source.file.name} has {'an' if skip is not None else 'no'} affine_skip_connection"
        )
    factor = weights.take_if("scaling_factor", "N")
    weights.end("a Gemma Scope file")
    if factor is not None and not torch.allclose(factor, torch.ones_like(factor)):
        raise DataError(
            f"{source.file} has a scaling_factor that is not 1, and nothing says what it scales"
        )
    if W_enc.shape[0] == W_enc.shape[1] and not second and not source.stated:
        raise DataError(
            f"{source.file}: W_enc is square, so both orientations fit; state which: "
            + command_for(source.file, format="gemma-scope")
        )
    if second:
        place, target = (
            places.of_gemma_hook(source.config.get(f"hf_hook_point_{way}")) for way in ("in", "out")
        )
        target = None if target == place else target
    else:
        place, target = places.of_gemma_path(source.file)
    if (place if hints.site is None else hints.site) == "hook_embed" and not second:
        # trained on embeddings times √d, as the model uses them
        root = W_enc.shape[0] ** 0.5
        W_enc, W_dec = W_enc / root, W_dec * root
    return Reading(
        coder=Coder(W_enc, b_enc, W_dec, b_dec, centred=False, W_skip=skip, **jumping(threshold)),
        architecture="gemma-scope-2" if second else "gemma-scope",
        site=place,
        site_out=target,
        inferred=[] if second else ["architecture"],
        guessed=("site", "site_out"),
        unread=unread(source.config, KNOWN),
    )


FORMAT = Format(
    name="gemma-scope",
    suffixes=(".npz", ".safetensors"),
    files=(WEIGHTS, WEIGHTS_2),
    read_with=(CONFIG_2,),
    fits=fits,
    open=open_file,
    read=read,
    unscaled="Gemma Scope files take raw activations",
)
