"""A tied gate is a jump: Gated dictionaries as JumpReLU ones and back, the same function in another
form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU


def as_jumprelu(dictionary: Dictionary) -> Dictionary:
    """The Gated dictionary as a JumpReLU one with the same features: what is on is π_mag, above its
    threshold.

    Formula: W_enc' = W_enc exp(r_mag), b_enc' = b_mag, threshold = max(b_mag − exp(r_mag) b_gate,
    0)
    Raises: DataError for another nonlinearity.
    Source: Improving Dictionary Learning with Gated Sparse Autoencoders (2024), section 3.2 and
    appendix on JumpReLU"""
    if not isinstance(dictionary.nonlinearity, Gated):
        raise DataError(f"as_jumprelu takes a Gated dictionary, got {dictionary.nonlinearity}")
    # z + b_gate > 0 is e^r z + b_mag > b_mag − e^r b_gate: a threshold on π_mag. Below 0 it would
    # let a negative magnitude through, which Gated's own ReLU does not.
    stretch, b_mag = dictionary.own["r_mag"].exp(), dictionary.own["b_mag"]
    return replace(
        dictionary,
        W_enc=dictionary.W_enc * stretch[:, None],
        b_enc=b_mag,
        nonlinearity=JumpReLU(),
        own={"threshold": (b_mag - stretch * dictionary.b_enc).clamp(min=0)},
        origin=_without_training(dictionary),
    )


def as_gated(dictionary: Dictionary) -> Dictionary:
    """The JumpReLU dictionary as a Gated one with the same features: its gate opens where π is
    above the threshold.

    Formula: r_mag = 0, b_mag = b_enc, b_gate = b_enc − threshold
    Raises: DataError for another nonlinearity, or a threshold below 0, where a jump may be negative
    and a gate never is."""
    if not isinstance(dictionary.nonlinearity, JumpReLU):
        raise DataError(f"as_gated takes a JumpReLU dictionary, got {dictionary.nonlinearity}")
    threshold = dictionary.own["threshold"]
    if (threshold < 0).any():
        raise DataError(f"as_gated needs thresholds of at least 0, got {threshold.min().item():g}")
    parameters = {"r_mag": torch.zeros_like(threshold), "b_mag": dictionary.b_enc}
    b_enc = dictionary.b_enc - threshold
    return replace(
        dictionary,
        b_enc=b_enc,
        nonlinearity=Gated(),
        own=parameters,
        origin=_without_training(dictionary),
    )


def _without_training(dictionary: Dictionary) -> dict[str, Any]:
    """The origin without `trained_as`, whose nonlinearity would read the rewritten biases as if
    they were its own."""
    return {name: value for name, value in dictionary.origin.items() if name != "trained_as"}
