"""Goodfire's dictionaries of Llama: one `.pt` or `.pth` with a linear encoder and a linear decoder,
and ReLU between."""

from __future__ import annotations

import re

from assay.dictionaries.formats.format import TORCH, Coder, Format, Hints, Reading, Source
from assay.dictionaries.formats.weights import Weights
from assay.dictionaries.nonlinearity import ReLU


def fits(weight_file: Source) -> bool:
    """Whether the names are those of this format."""
    return {"encoder_linear.weight", "decoder_linear.weight"} <= set(weight_file.values)


def read(source: Source, hints: Hints) -> Reading:
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
    layer = re.search(r"-l(\d+)$", source.file.stem)
    return Reading(
        coder=Coder(W_enc, b_enc, W_dec, b_dec, ReLU(), centred=False),
        architecture="relu",
        site=f"blocks.{layer[1]}.hook_resid_post" if layer else None,
        inferred=["architecture"],
        guessed=("site",),
    )


FORMAT = Format(
    name="goodfire",
    suffixes=TORCH,
    fits=fits,
    read=read,
    unscaled="Goodfire's files take raw activations",
)
