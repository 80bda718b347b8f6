"""Goodfire's dictionaries of Llama: one `.pt` or `.pth` with a linear encoder and a linear decoder,
and ReLU between."""

from __future__ import annotations

import re

from assay.core.errors import DataError
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.formats.coder import Coder
from assay.dictionaries.formats.format import TORCH, Format, Found
from assay.dictionaries.formats.origin import described, placed
from assay.dictionaries.formats.weights import Hints, Source, Weights
from assay.dictionaries.nonlinearity import ReLU


def fits(weight_file: Found) -> bool:
    """Whether the names are those of this format."""
    return {"encoder_linear.weight", "decoder_linear.weight"} <= set(weight_file.values)


def open_file(weight_file: Found) -> Source:
    """A weight file, which has no settings beside it."""
    return Source(weight_file.path, weight_file.values, {}, weight_file.path.parent)


def read(source: Source, hints: Hints) -> Dictionary:
    """The dictionary of a Goodfire file: ReLU, not centred; the layer stands in the name, as in
    `Llama-3.1-8B-Instruct-SAE-l19.pth`.

    Raises: DataError for what is missing, left over or of another size.
    """
    weights = Weights(source.file, source.values)
    b_enc, b_dec = (
        weights.take("encoder_linear.bias", "N"),
        weights.take("decoder_linear.bias", "d"),
    )
    W_enc, W_dec = (
        weights.take("encoder_linear.weight", "N", "d").mT,
        weights.take("decoder_linear.weight", "d", "N").mT,
    )
    weights.end("a Goodfire file")
    if hints.scale is not None:
        raise DataError(
            f"{source.file}: scale= (--scale) has no place: Goodfire's files take raw activations"
        )
    layer = re.search(r"-l(\d+)$", source.file.stem)
    inferred = ["architecture"]
    sites, sites_out = placed(
        hints, f"blocks.{layer[1]}.hook_resid_post" if layer else None, None, inferred, ("site",)
    )
    coder = Coder(W_enc, b_enc, W_dec, b_dec, ReLU(), centred=False)
    return coder.dictionary(
        sites,
        sites_out,
        described("goodfire", source.file, architecture="relu", config={}, inferred=inferred),
    )


FORMAT = Format(name="goodfire", suffixes=TORCH, fits=fits, open=open_file, read=read)
