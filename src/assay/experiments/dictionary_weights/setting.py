"""What one run of dictionary-weights is: whose matrix, on which model and text, trained how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from assay.dictionaries.training.freezing import Part
from assay.dictionaries.training.on_text import TinyModelDictionary


@dataclass(frozen=True, kw_only=True)
class DictionaryWeights(TinyModelDictionary):
    matrix: Literal["learned", "start", "identity", "rotated", "permuted", "random", "planted"] = (
        "learned"
    )
    """Learned; as training starts; every neuron a feature; or main's dictionary with other decoder
    rows."""
    private: Annotated[float, Ge(0), Le(1)] = 0.6
    """Share of neurons that belong to one feature each, in the planted matrix."""
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    acts: Literal["model", "shuffled"] = "model"
    """Activations of the model; the same with every neuron's values at other tokens, so that
    neurons are independent."""
    activation: Literal["gelu", "relu"] = "gelu"
    """Their non-linearity."""
    width: Annotated[int, Ge(1)] = 512
    windows: Annotated[int, Ge(0)] = 1200
    per_file: Annotated[int, Ge(0)] = 4
    """Test windows from one file, at most."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window."""
    steps: Annotated[int, Ge(2)] = 600
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; many CPUs are far slower in bfloat16."""
    features: Annotated[int, Ge(1)] = 12
    """Features, drawn by lot, for which rules are learned, and as many neurons."""
    texts: Annotated[int, Ge(1)] = 300
    """Training windows on which they are learned, at most."""
    replicate: int = 0
    """Another independent draw of what is random about the matrix."""
