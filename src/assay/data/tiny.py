"""tiny: small language models that Assay trains itself, on one CPU thread in under a minute, as
ordinary model folders."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Gt

from assay.core.bench import Bench
from assay.core.runs import Runs
from assay.data import corpus as corpora
from assay.data.checkpoint import Alone
from assay.data.lm import LmSpec, ModelSpec, fourfold, shape_of, train_lms
from assay.data.lm_text import batches, tokens_of, words
from assay.data.names import text_in_words
from assay.subjects.decoder import write


@dataclass(frozen=True, kw_only=True)
class TinySpec(ModelSpec):
    """A GPT-2 of a block or two, and how it is trained."""

    activation: Literal["gelu", "relu"] = "gelu"
    """The MLP's non-linearity."""
    lr: Annotated[float, Gt(0)] = 3e-3
    """Adam's learning rate at its top: 50 steps of warm-up, then linearly to 0 over the last four
    fifths."""

    @property
    def in_words(self) -> str:
        """What such a model is called in a sentence."""
        unit = {"gelu": "GELU", "relu": "ReLU"}[self.activation]
        models = f"{self.layers}-block {unit} models of width {self.d}"
        return f"{models} trained by Assay on {text_in_words(self.corpus)}"

    def lm(self) -> LmSpec:
        """This model among all that can be trained: LayerNorm, learned positions, no gate, no
        weight decay."""
        return LmSpec(**asdict(self))


def tiny(spec: TinySpec, bench: Bench) -> Path:
    """The folder of the model, trained now or found; every part of Assay reads it as it reads any
    model folder.

    A training that was killed goes on where it was. The same spec gives the same weights (same
    machine type, versions and one thread). Its assay.json keeps the training loss at each step at
    which an evaluation was due, every 4× of compute."""
    text = corpora.load(spec.corpus)
    read = words(text, spec.vocab, spec.context, bench)
    # the same text is the same model, whatever its path
    hashed_spec = spec.replace(corpus=text.fingerprint)
    return bench.artefact(hashed_spec, lambda path: _train(spec, read, path, bench))


def _train(spec: TinySpec, words: Path, path: Path, bench: Bench) -> None:
    tokens, vocab = tokens_of(words)
    runs = Runs([spec.lm()])
    shape = shape_of(runs.specs[0], vocab)
    draw = batches(runs.seeds, tokens, vocab, spec.batch, spec.repeats)
    checkpoint = Alone(bench, path)
    looks = fourfold(spec.steps)
    trained = train_lms(runs, shape, draw, checkpoint, evaluate_at=looks)
    called = (
        f"{spec.layers}-block GPT-2 of width {spec.d} (Assay, {spec.steps:,} steps, seed "
        f"{spec.seed})"
    )
    losses = {
        int(step): loss
        for step, loss in zip(trained.steps, trained.history["loss"][0].tolist(), strict=True)
    }
    evaluations = [{"step": step, "loss": losses[step]} for step in looks]
    about = {"name": called, "loss": losses[spec.steps], "evaluations": evaluations}
    write(path, trained.tensors, shape, words / "tokenizer.json", about)
    checkpoint.file.unlink()
