"""on_text: what experiments on dictionaries of a language model's activations share: the parts of
their specs, the two harvests, the common method, and training in one pass over the same batches.

An experiment's own spec adds what it varies; its keys hash names and values, so they are the same
wherever a field is declared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float

from assay.core import Bench, Cost, Joint, ModelError, Runs, Spec, probes
from assay.core.fit import Batch, Trained
from assay.core.heavy import torch
from assay.data import corpus as corpora
from assay.data.harvest import Harvest, HarvestSpec, harvest
from assay.data.harvest import inputs as harvest_inputs
from assay.data.names import DRAWN, model_in_words, text_in_words
from assay.data.tiny import TinySpec, tiny
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.subjects import folder as models
from assay.subjects.site import Site
from assay.subjects.untrained import untrained
from assay.train.rng import integers

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method

_SHAPE = ("layers", "d", "m", "activation", "context", "corpus")


class InWords:
    """Gives a spec with the fields `subject` and `corpus` the words for its model and its text."""

    subject: str
    corpus: str

    @property
    def model_in_words(self) -> str:
        """The language model whose activations are read."""
        return model_in_words(self.subject)

    @property
    def text_in_words(self) -> str:
        """The text that it reads."""
        return text_in_words(self.corpus)


@dataclass(frozen=True, kw_only=True)
class TextDictionary(Spec):
    """A dictionary, how long it is trained, and on how much text."""

    width: Annotated[int, Ge(1)] = 512
    """Features in the dictionary."""
    k: Annotated[int, Ge(1)] = 16
    """Features that TopK keeps; other methods ignore it."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib", "docs" or a folder of text files."""
    windows: Annotated[int, Ge(1)] = 500
    """Training windows."""
    batch: Annotated[int, Ge(1)] = 128
    """Activations a step."""
    steps: Annotated[int, Ge(1)] = 500
    """Training steps of the dictionary."""
    lr: Annotated[float, Gt(0)] = 4e-3
    """Adam's learning rate at its top."""


@dataclass(frozen=True, kw_only=True)
class NamedModelDictionary(InWords, TextDictionary):
    """A dictionary of the residual stream of a model that has a name, in windows of 128 tokens."""

    subject: str = "smollm2"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    layer: Annotated[int, Ge(1)] = 9
    """The site is the residual stream before this block."""

    def cut(self, part: Literal["train", "test"]) -> dict[str, Any]:
        """How many windows a part has, and how many of them one file gives; 0: all there are."""
        raise NotImplementedError

    def text(self, part: Literal["train", "test"]) -> HarvestSpec:
        """The harvest of one part of the corpus at this site."""
        site = f"blocks.{self.layer}.hook_resid_pre"
        return HarvestSpec(
            subject=self.subject, site=site, corpus=self.corpus, part=part, **self.cut(part)
        )


@dataclass(frozen=True, kw_only=True)
class HeldOutDictionary(NamedModelDictionary):
    """One that is measured on all test text, each file counting for as much."""

    steps: Annotated[int, Ge(2)] = 500
    per_file: Annotated[int, Ge(0)] = 2
    """Test windows from one file, at most, so that no large file is most of the test."""
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; parameters are
    float32. Many CPUs are far slower in bfloat16."""

    def cut(self, part: Literal["train", "test"]) -> dict[str, Any]:
        """Give so many training windows, and all test windows but for large files."""
        test = {"windows": 0, "per_file": self.per_file}
        return {"windows": self.windows} if part == "train" else test


@dataclass(frozen=True, kw_only=True)
class TinyModelDictionary(TextDictionary):
    """A dictionary of a small language model that each seed trains for itself."""

    model_steps: Annotated[int, Ge(1)] = 480
    """Training steps of the language model."""
    d: Annotated[int, Ge(1)] = 64
    """Width of its stream."""
    m: Annotated[int, Ge(1)] = 256
    """Neurons of a block's MLP."""
    width: Annotated[int, Ge(1)] = 256
    k: Annotated[int, Ge(1)] = 8
    windows: Annotated[int, Ge(1)] = 1000
    batch: Annotated[int, Ge(1)] = 256
    lr: Annotated[float, Gt(0)] = 8e-3

    @property
    def models(self) -> str:
        """The language models in words."""
        return self.model().in_words

    def model(self, later: int = 0) -> TinySpec:
        """The model of this seed, or of one so many seeds later; what the spec does not say of it
        is as TinySpec has it."""
        names = {f.name for f in fields(self)}
        shape = {name: getattr(self, name) for name in _SHAPE if name in names}
        if "model_batch" in names:
            shape["batch"] = self.model_batch  # type: ignore[attr-defined]
        return TinySpec(seed=self.seed + later, steps=self.model_steps, **shape)

    def activations(self, site: str, bench: Bench, **test: int) -> tuple[Harvest, Harvest]:
        """(training harvest, test harvest) of this seed's model, the test cut as `test` says."""
        model = self.model()
        train = HarvestSpec(
            subject=str(tiny(model, bench)),
            site=site,
            corpus=self.corpus,
            windows=self.windows,
            context=model.context,
            dtype="float32",
        )
        return both_parts(train, train.replace(part="test", **test), bench)


def both_parts(train: HarvestSpec, test: HarvestSpec, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest), the second normalised as the first is; made once and read
    by every arm."""
    data = harvest(train, bench)
    return data, harvest(test, bench, like=data)


def activations(
    s: NamedModelDictionary, bench: Bench, weights_by: int | None = None
) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the model, or of the same architecture with weights drawn
    by a seed."""
    train, test = s.text("train"), s.text("test")
    if weights_by is not None:
        # the same place: the model without its weights ends there
        drawn = {
            "subject": str(untrained(s.subject, s.layer, bench, seed=weights_by)),
            "site": f"blocks.{s.layer - 1}.hook_resid_post",
        }
        train, test = train.replace(**drawn), test.replace(**drawn)
    return both_parts(train, test, bench)


def method(runs: Runs[Any], nonlinearity: Any, loss: Any, **options: Any) -> Method:
    """A Method at the width, rate and precision of the runs' spec; options are its other fields, or
    these otherwise."""
    from assay.dictionaries.training.train import Method

    s = runs.shared
    fields = {
        "width": s.width,
        "lr": np.full(len(runs), s.lr),
        "penalty": np.zeros(len(runs)),
        "products": getattr(s, "products", "float32"),
    }
    return Method(nonlinearity, loss, **(fields | options))


def topk(runs: Runs[Any], **options: Any) -> Method:
    """TopK by squared error, with momentum; options are fields of the Method that are
    otherwise."""
    fields = {"nonlinearity": TopK(runs.shared.k), "loss": losses.mse}
    momentum = {"betas": (0.9, 0.999), "encoder_scale": 1.0}
    return method(runs, **(fields | momentum | options))


def fit_on(
    data: Harvest,
    groups: Sequence[tuple[Runs[Any], Method]],
    bench: Bench,
    *,
    batches: Callable[[int], Batch] | None = None,
    steps: int | None = None,
    note_origin: bool = True,
) -> list[Trained]:
    """Train dictionaries of several shapes in one pass over the same batches of a harvest.

    Args:
        data: the training harvest.
        groups: the runs of each arm, and how they are trained.
        bench: where work is kept.
        batches: step → rows; None: the harvest's own, by the first group's seeds.
        steps: how many; None: as the spec says, with 20 probes along the way.
        note_origin: whether model and text stay with the dictionaries.
    """
    from assay.dictionaries.training.train import fit_dictionaries

    runs, _ = groups[0]
    s = runs.shared
    return fit_dictionaries(
        groups,
        batches or data.batches(runs.seeds, s.batch),
        d=data.d,
        steps=s.steps if steps is None else steps,
        bench=bench,
        mean=data.mean,
        scale=data.scale,
        sites=(data.spec.site,),
        probe_at=probes(s.steps, 20) if steps is None else (),
        trained_on=data.trained_on if note_origin else None,
    )


def joint(train_together: Callable[[Sequence[Runs[Any]], Bench], list[Trained]]) -> Joint:
    """Arms of equal length that share a pass over the same batches; a schedule of another length
    needs one of its own."""
    return Joint(lambda groups, bench: train_together(groups, bench))


def independent(
    x: Float[torch.Tensor, "*run b d"], purpose: str, seed: int, index: int
) -> Float[torch.Tensor, "*run b d"]:
    """The rows with every coordinate rolled by its own random number of rows: each keeps its law,
    what ties them is gone."""
    b, d = x.shape[-2:]
    offset = torch.from_numpy(integers(np.array([seed]), purpose, index, (d,), b)[0])
    return x.gather(-2, ((torch.arange(b)[:, None] + offset) % b).expand(x.shape))


def no_training(runs: Runs[Spec], bench: Bench) -> Trained:
    """Train nothing: a model is measured as it is."""
    return Trained.nothing(runs)


def inputs(spec: Any) -> dict[str, str]:
    """Model and corpus of a run, after a look at whether the model has the site at all; planted
    inputs come from nowhere."""
    if spec.subject in ("", "planted"):
        return {}
    text = spec.text("train")
    models.find(spec.subject).check(Site.parse(text.site))
    return harvest_inputs(text)


def text_and_model(spec: Spec) -> dict[str, str]:
    """The corpus, and the model where the spec's subject is one on disk; a "tiny" model follows
    from corpus and spec, and what is "planted" from the spec."""
    subject = getattr(spec, "subject", "tiny")
    if subject == "planted":
        return {}
    read = {"corpus": corpora.load(spec.corpus).fingerprint}  # type: ignore[attr-defined]
    if subject == "tiny":
        return read
    return read | {"model": models.fingerprint(subject.removeprefix(DRAWN))}


def harvest_cost(runs: Runs[Any]) -> Cost:
    """The disk that the training harvest takes, shared by the arms on the same activations; seconds
    come from the record."""
    if runs.shared.subject in ("", "planted"):
        return Cost()
    text = runs.shared.text("train")
    try:
        size = text.bytes()
    except ModelError:  # of a model that is not here; `inputs` says what to type
        return Cost()
    return Cost(bytes=size)


def tiny_cost(*widths: str) -> Callable[[Runs[Any]], Cost]:
    """The disk that training harvests of sites of these widths take, fields of the spec; none where
    no tiny model is harvested."""

    def cost(runs: Runs[Any]) -> Cost:
        s = runs.shared
        row = sum(2 * getattr(s, width) + 4 for width in widths)
        trained = getattr(s, "subject", "tiny") == "tiny"
        return Cost(bytes=s.windows * s.context * row if trained else 0)

    return cost
