"""What one run of end-to-end is: a small language model, a dictionary at one site of it, and what
training makes small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from assay.core import Spec
from assay.core.errors import SpecError
from assay.data import corpus as corpora
from assay.data.tiny import TinySpec
from assay.dictionaries.training.freezing import Part


@dataclass(frozen=True, kw_only=True)
class EndToEnd(Spec):
    objective: Literal["kl", "local"] = "kl"
    """What training makes small: KL between the model's predictions and those with the
    reconstruction in place; or the squared error."""
    later: Annotated[float, Ge(0)] = 0.0
    """Weight of the errors of later blocks' inputs, beside KL."""
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    model_steps: Annotated[int, Ge(1)] = 400
    """Training steps of the language model that each seed trains."""
    model_batch: Annotated[int, Ge(1)] = 32
    """Windows in each of them."""
    layers: Annotated[int, Ge(2)] = 3
    """Its blocks."""
    d: Annotated[int, Ge(1)] = 64
    """Width of its stream."""
    m: Annotated[int, Ge(1)] = 256
    """Neurons in a block's MLP."""
    block: Annotated[int, Ge(0)] = 1
    """The block whose input is decomposed."""
    width: Annotated[int, Ge(1)] = 256
    """Features in a dictionary."""
    k: Annotated[int, Ge(1)] = 4
    """Features that TopK keeps."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib", "docs" or a folder of text files."""
    windows: Annotated[int, Ge(1)] = 2000
    """Training windows of `context` tokens."""
    per_file: Annotated[int, Ge(1)] = 2
    """Test windows from one file, at most."""
    tested: Annotated[int, Ge(0)] = 0
    """Test windows; 0: all there are."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window."""
    batch: Annotated[int, Ge(1)] = 4
    """Windows a step."""
    steps: Annotated[int, Ge(1)] = 450
    """Training steps of the dictionary."""
    lr: Annotated[float, Gt(0)] = 8e-3
    """Adam's learning rate at its top."""

    order: int = 0
    """Which order the text comes in."""

    def check(self) -> None:
        """Raise SpecError where no block's input comes after the site, or local training asks for
        later errors."""
        if self.block + 1 >= self.layers:
            raise SpecError(
                f"EndToEnd.block must leave a later block of {self.layers}, got {self.block}"
            )
        if self.later and self.objective == "local":
            raise SpecError(
                "EndToEnd.later weighs errors beside KL: local training has none, set later=0"
            )

    @property
    def site(self) -> str:
        """The input of the block."""
        return f"blocks.{self.block}.hook_resid_pre"

    @property
    def models(self) -> str:
        """The language models in words."""
        return self.model().in_words

    def model(self) -> TinySpec:
        """The language model of this seed."""
        return TinySpec(
            seed=self.seed,
            layers=self.layers,
            d=self.d,
            m=self.m,
            context=self.context,
            corpus=self.corpus,
            steps=self.model_steps,
            batch=self.model_batch,
        )
