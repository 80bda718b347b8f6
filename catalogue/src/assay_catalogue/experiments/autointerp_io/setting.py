"""What one run of autointerp-io is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from assay.dictionaries.training.freezing import Part
from assay_catalogue.dictionaries.on_text import TinyModelDictionary


@dataclass(frozen=True, kw_only=True)
class InputsOutputs(TinyModelDictionary):
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    tested: Annotated[int, Ge(1)] = 640
    """Windows of other files, on which explanations are scored."""
    features: Annotated[int, Ge(4)] = 40
    """Features that are drawn by lot, and neurons, random directions and others of the same density
    beside them."""
    pairs: Annotated[int, Ge(1)] = 32
    """Features of which a token leaves their firing open, at most."""
    names: Annotated[int, Ge(1)] = 10
    """Tokens that an explanation may name, on either side: K."""
    firings: Annotated[int, Ge(1)] = 50
    """Firings that a feature needs on either text to be drawn."""
    further: bool = True
    """Whether explanations from outputs and from both get every score, and rules in words and
    further controls are learned."""
    explainer: Literal["rules"] = "rules"
    asked: Annotated[int, Ge(1)] = 16
    """Nothing reads these two; they are part of the keys of stored runs."""
