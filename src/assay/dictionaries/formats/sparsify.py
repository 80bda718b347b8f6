"""sparsify: a folder per place in the model, named after it, with `cfg.json` and
`sae.safetensors`."""

from __future__ import annotations

from assay.core.errors import DataError
from assay.dictionaries.formats import sites as places
from assay.dictionaries.formats.format import (
    Coder,
    Format,
    Hints,
    Reading,
    Source,
    unread,
    with_settings,
)
from assay.dictionaries.formats.weights import Weights, one_of, whole
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.selection import AbsTopK, GroupMax, TopK

CONFIG, WEIGHTS = "cfg.json", "sae.safetensors"
KNOWN = """
activation expansion_factor num_latents k d_in skip_connection transcode signed
normalize_decoder multi_topk
"""
"""Keys of cfg.json that Assay uses; the last two are of training alone."""


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of one hookpoint. The encoder is centred unless `transcode`, whatever the
    decoder's normalisation.

    Raises: DataError for what is missing, unknown or contradictory.
    """
    config, path = source.config, source.place / CONFIG
    d = whole(config.get("d_in"), "d_in", path)
    width = config.get("num_latents") or d * whole(
        config.get("expansion_factor"), "expansion_factor", path
    )
    width = whole(width, "num_latents", path)
    weights = Weights(source.file, source.values, d=d, N=width)
    if "W_dec" not in source.values and "encoder.weight" in source.values:
        raise DataError(
            f"{source.file} was saved without its decoder (W_dec), so nothing can be reconstructed"
        )
    W_enc, b_enc = weights.take("encoder.weight", "N", "d").mT, weights.take("encoder.bias", "N")
    W_dec, b_dec = weights.take("W_dec", "N", "d"), weights.take("b_dec", "d")
    W_skip = weights.take("W_skip", "d", "d").mT if config.get("skip_connection") else None
    weights.end("a sparsify file with these settings")
    name = hints.architecture or config.get("activation", "topk")
    inferred = [] if "activation" in config or hints.architecture else ["activation"]
    k = whole(config.get("k") if hints.k is None else hints.k, "k", path, width)
    if name == "groupmax" and width % k:
        raise DataError(
            f"{path}: groupmax needs a width that k divides, got num_latents {width} and k {k}"
        )
    kinds: dict[str, type[Nonlinearity]] = {
        "topk": AbsTopK if config.get("signed") else TopK,
        "groupmax": GroupMax,
    }
    nonlinearity = one_of(name, kinds, "activation", path)(k)
    transcode = bool(config.get("transcode"))
    site, target = places.of_module(source.place.absolute().name, transcode)
    return Reading(
        coder=Coder(W_enc, b_enc, W_dec, b_dec, nonlinearity, centred=not transcode, W_skip=W_skip),
        architecture=name,
        site=site,
        site_out=target,
        inferred=inferred,
        guessed=("site", "site_out"),
        transcoder=transcode,
        unread=unread(config, KNOWN),
    )


FORMAT = Format(
    name="sparsify",
    suffixes=(".safetensors",),
    files=(WEIGHTS,),
    settings=CONFIG,
    read_with=(CONFIG,),
    open=with_settings(CONFIG),
    read=read,
    unscaled="sparsify does not scale its inputs",
)
