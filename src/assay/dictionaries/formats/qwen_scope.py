"""Qwen Scope: `layerN.sae.pt`, one TopK dictionary of the residual stream after each block; k
stands in the release's name."""

from __future__ import annotations

import re

from assay.core.errors import DataError
from assay.dictionaries.formats.format import Coder, Format, Hints, Reading, Source
from assay.dictionaries.formats.weights import Weights, command_for, whole
from assay.dictionaries.selection import TopK

_FILE = re.compile(r"layer(\d+)\.sae\.pt")
_RELEASE = re.compile(r"-L0_(\d+)(?:/|$)")


def fits(weight_file: Source) -> bool:
    """Whether name and tensors are those of this format."""
    return bool(_FILE.fullmatch(weight_file.file.name)) and {
        "W_enc",
        "b_enc",
        "W_dec",
        "b_dec",
    } == set(weight_file.values)


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of a Qwen Scope file: the k largest projections above 0, never centred, for
    raw activations.

    Raises: DataError for what is missing or left over, and where neither the folder's name nor `k`
    says k."""
    weights = Weights(source.file, source.values)
    b_enc, b_dec = weights.take("b_enc", "N"), weights.take("b_dec", "d")
    W_enc, W_dec = weights.take("W_enc", "N", "d").mT, weights.take("W_dec", "d", "N").mT
    weights.end("a Qwen Scope file")
    match = _RELEASE.search(source.file.absolute().parent.as_posix())
    if hints.k is None and match is None:
        raise DataError(
            f"{source.file} does not say k, and neither does its folder (…-L0_50); give it: "
            + command_for(source.file, k="50")
        )
    k = whole(hints.k if hints.k is not None else int(match[1]), "k", source.file, len(b_enc))  # type: ignore[index]
    layer = _FILE.fullmatch(source.file.name)
    return Reading(
        coder=Coder(W_enc, b_enc, W_dec, b_dec, TopK(k), centred=False),
        architecture="topk",
        site=f"blocks.{layer[1]}.hook_resid_post" if layer else None,
        inferred=["architecture"] + ([] if hints.k is not None else ["k"]),
        guessed=("site",),
    )


FORMAT = Format(
    name="qwen-scope",
    suffixes=(".pt",),
    fits=fits,
    read=read,
    unscaled="Qwen Scope files take raw activations",
)
