"""OpenAI's sparse_autoencoder: one `.pt` with the weights, the activation's name and its
settings."""

from __future__ import annotations

from assay.core.errors import DataError
from assay.dictionaries.formats import sites as places
from assay.dictionaries.formats.format import TORCH, Coder, Format, Hints, Reading, Source
from assay.dictionaries.formats.weights import Weights, command_for, one_of, whole
from assay.dictionaries.nonlinearity import Identity, Nonlinearity, ReLU
from assay.dictionaries.rows import PerToken
from assay.dictionaries.selection import TopK

_KINDS = {"ReLU": ReLU, "TopK": TopK, "Identity": Identity}
_BESIDE = (
    "stats_last_nonzero",
    "latents_activation_frequency",
    "latents_mean_square",
    "activation.k",
    "activation.postact_fn",
)
"""Counters, and the settings of the activation a second time."""


def fits(weight_file: Source) -> bool:
    """Whether the names are those of this format."""
    return {"pre_bias", "latent_bias", "encoder.weight"} <= set(weight_file.values)


def read(source: Source, hints: Hints) -> Reading:
    """The dictionary of an OpenAI file. TopK files normalise each input (mean 0, deviation 1), the
    others do not: that is inferred from the activation's name, since no field states it.

    Raises: DataError for what is missing, unknown or contradictory, and for training checkpoints,
    which do not say k."""
    weights = Weights(source.file, source.values)
    kind, state = (
        weights.left.pop("activation", None),
        weights.left.pop("activation_state_dict", None),
    )
    name = hints.architecture or kind
    if name is None:
        raise DataError(
            f"{source.file} is a training checkpoint, which does not name its activation (ReLU, or "
            f"TopK with its k); name it: {command_for(source.file, architecture='TopK', k='32')}"
        )
    one_of(name, _KINDS, "activation", source.file)
    W_enc, b_enc = weights.take("encoder.weight", "N", "d").mT, weights.take("latent_bias", "N")
    tied = "decoder.linear.weight" in weights.left
    W_dec = (
        weights.take("decoder.linear.weight", "N", "d")
        if tied
        else weights.take("decoder.weight", "d", "N").mT
    )
    b_dec = weights.take("pre_bias", "d")
    weights.drop(*_BESIDE)
    weights.end("an OpenAI file")
    nonlinearity: Nonlinearity = ReLU() if name == "ReLU" else Identity()
    if name == "TopK":
        state = state if isinstance(state, dict) else {}
        after = state.get("postact_fn", "ReLU")
        if after != "ReLU":
            raise DataError(
                f"{source.file}: its TopK keeps values by {after}; a Dictionary's TopK keeps "
                "those above 0 (ReLU)"
            )
        nonlinearity = TopK(
            whole(
                state.get("k") if hints.k is None else hints.k, "k", source.file, weights.sizes["N"]
            )
        )
    per_token: PerToken = "layer-norm" if name == "TopK" else ""
    return Reading(
        coder=Coder(W_enc, b_enc, W_dec, b_dec, nonlinearity, centred=True, per_token=per_token),
        architecture=name,
        site=places.of_openai_path(source.file),
        inferred=["per_token"] + ([] if kind else ["postact_fn"] if name == "TopK" else []),
        guessed=("site",),
        config={
            "activation": kind,
            "activation_state_dict": dict(state) if isinstance(state, dict) else None,
        },
    )


FORMAT = Format(
    name="openai",
    suffixes=TORCH,
    fits=fits,
    read=read,
    unscaled="this format does not scale its inputs by a constant",
)
