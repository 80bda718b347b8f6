"""What one run of autointerp-io is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from assay.core import Spec
from assay.data import corpus as corpora
from assay.data.harvest import HarvestSpec
from assay.data.tiny import TinySpec
from assay.dictionaries.training.freezing import Part


@dataclass(frozen=True, kw_only=True)
class InputsOutputs(Spec):
    model_steps: Annotated[int, Ge(1)] = 480
    """Training steps of the one-block model that each seed trains for itself."""
    d: Annotated[int, Ge(1)] = 64
    """Width of its stream."""
    m: Annotated[int, Ge(1)] = 256
    """Neurons of its MLP."""
    width: Annotated[int, Ge(1)] = 256
    """Features in the dictionary of its MLP's activations."""
    k: Annotated[int, Ge(1)] = 8
    """Features that TopK keeps."""
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib" or a folder of text files."""
    windows: Annotated[int, Ge(1)] = 1000
    """Windows of 64 tokens on which dictionaries are trained and features explained."""
    tested: Annotated[int, Ge(1)] = 640
    """Windows of other files, on which explanations are scored."""
    batch: Annotated[int, Ge(1)] = 256
    """Tokens a step."""
    steps: Annotated[int, Ge(1)] = 500
    """Training steps of the dictionary."""
    lr: float = 8e-3
    """Adam's learning rate at its top."""
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
    explainer: str = "rules"
    """"rules", or the file of an endpoint that explains the first `asked` features as well; without
    one nothing is sent anywhere."""
    asked: Annotated[int, Ge(1)] = 16
    """Features that an endpoint explains."""

    @property
    def explainers(self) -> str:
        """What explains features, in words."""
        endpoint = "" if self.explainer == "rules" else f", and the endpoint of {self.explainer}"
        return f"rules learned without a language model{endpoint}"

    @property
    def models(self) -> str:
        """The language models in words."""
        return self.model().in_words

    def model(self, later: int = 0) -> TinySpec:
        """The tiny model of this seed, or of one so many seeds later."""
        return TinySpec(
            seed=self.seed + later, d=self.d, m=self.m, corpus=self.corpus, steps=self.model_steps
        )

    def text(self, subject: str) -> tuple[HarvestSpec, HarvestSpec]:
        """(what is explained, what explanations are scored on): activations of the model's MLP."""
        harvest = HarvestSpec(
            subject=subject,
            site="blocks.0.mlp.hook_post",
            corpus=self.corpus,
            part="train",
            windows=self.windows,
            context=64,
            dtype="float32",
        )
        return harvest, harvest.replace(part="test", windows=self.tested)
