"""What one run of dictionary-weights is: whose matrix, on which model and text, trained how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from assay.core import Spec
from assay.data import corpus as corpora
from assay.data.tiny import TinySpec
from assay.dictionaries.training.freezing import Part


@dataclass(frozen=True, kw_only=True)
class DictionaryWeights(Spec):
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
    model_steps: Annotated[int, Ge(1)] = 480
    """Training steps of the language model that each seed trains."""
    d: Annotated[int, Ge(1)] = 64
    """Width of its stream."""
    m: Annotated[int, Ge(2)] = 256
    """Neurons of its MLP."""
    activation: Literal["gelu", "relu"] = "gelu"
    """Their non-linearity."""
    width: Annotated[int, Ge(1)] = 512
    """Features in the dictionary."""
    k: Annotated[int, Ge(1)] = 8
    """Features that TopK keeps."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib" or a folder of text files."""
    windows: Annotated[int, Ge(0)] = 1200
    """Training windows of `context` tokens."""
    per_file: Annotated[int, Ge(0)] = 4
    """Test windows from one file, at most."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window."""
    batch: Annotated[int, Ge(1)] = 256
    """Tokens a step."""
    steps: Annotated[int, Ge(1)] = 600
    """Training steps of the dictionary."""
    lr: Annotated[float, Gt(0)] = 8e-3
    """Adam's learning rate at its top."""
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; many CPUs are far slower in bfloat16."""
    features: Annotated[int, Ge(1)] = 12
    """Features, drawn by lot, for which rules are learned, and as many neurons."""
    texts: Annotated[int, Ge(1)] = 300
    """Training windows on which they are learned, at most."""
    replicate: int = 0
    """Another independent draw of what is random about the matrix."""

    @property
    def models(self) -> str:
        """The language models in words."""
        return self.model().in_words

    def model(self) -> TinySpec:
        """The language model of this seed."""
        return TinySpec(
            seed=self.seed,
            d=self.d,
            m=self.m,
            activation=self.activation,
            context=self.context,
            corpus=self.corpus,
            steps=self.model_steps,
        )
