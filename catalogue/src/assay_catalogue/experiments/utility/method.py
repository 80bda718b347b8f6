"""The method of utility: what one run is, how its dictionary is trained, what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool

from assay.core import Bench, Runs, Spec, SpecError, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.harvest import Harvest
from assay.data.names import DRAWN, model_in_words
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.training.freezing import Part, freeze
from assay.train.rng import generator
from assay_catalogue.dictionaries import on_text
from assay_catalogue.dictionaries.on_text import NamedModelDictionary, activations, fit_on, topk
from assay_catalogue.experiments.utility.probes import (
    BASELINES,
    METHODS,
    PARTS,
    SAE,
    Numbers,
    Passages,
    features,
    numbers,
    picked,
    plain,
    pooled,
    questions,
    sparse,
)
from assay_catalogue.experiments.utility.reading import (
    ReadSpec,
    Streams,
    answer,
    fine_tuned,
    streams,
)
from assay_catalogue.experiments.utility.texts import (
    Concept,
    Lot,
    TextsSpec,
    concepts,
    fingerprint,
    texts_spec,
)
from assay_catalogue.features.kernel_probe import Questions, auc, best
from assay_catalogue.features.probing import random_directions

QUESTIONS = 24
"""Passages of each concept about which the model is asked."""


@dataclass(frozen=True, kw_only=True)
class Utility(NamedModelDictionary):
    weights: Literal["trained", "random"] = "trained"
    """The model's own, or drawn as before its training."""
    width: Annotated[int, Ge(64)] = 1024
    k: Annotated[int, Ge(1)] = 32
    steps: Annotated[int, Ge(1)] = 500
    frozen: Part = ""
    """Which half of the dictionary is not learned; a decoder that is not starts with the covariance
    of the activations."""
    labels: Literal["true", "shuffled", "planted"] = "true"
    """Of the passages to learn from: true, or shuffled; or the answer is whether a feature of the
    dictionary is on."""
    lot: Lot = "judged"
    """The concepts: those that are judged, or others for pilots."""
    sizes: tuple[int, ...] = (48, 24, 24, 48)
    """Passages of each concept to train on, for validation, and for both tests: of the same
    packages and wordings, and of others."""
    judged: Annotated[int, Ge(1)] = 40
    """Windows of 128 tokens on which reconstruction is measured."""

    def check(self) -> None:
        if len(self.sizes) != 4 or any(n % 4 or n < 4 for n in self.sizes):
            raise SpecError(
                "Utility.sizes are four multiples of 4: train, validation, same, shift; got "
                f"{self.sizes}"
            )

    @property
    def model_in_words(self) -> str:
        """The language model whose activations are read."""
        return model_in_words(self.subject if self.weights == "trained" else DRAWN + self.subject)

    def cut(self, part: Literal["train", "test"]) -> dict[str, Any]:
        """Give at most four training windows of one file, and twelve for the test."""
        if part == "train":
            return {"windows": self.windows, "per_file": 4}
        return {"windows": self.judged, "per_file": 12}


def inputs(s: Utility) -> dict[str, str]:
    """Model, corpus, and the packages that passages are made of."""
    return on_text.inputs(s) | {"packages": fingerprint(s.lot)}


def harvests(s: Utility, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the model, or of one of its shape with random weights."""
    return activations(s, bench, 0 if s.weights == "random" else None)


def train(runs: Runs[Utility], bench: Bench) -> Trained:
    """A TopK dictionary for each seed, on the same activations in an order of its own."""
    s = runs.shared
    data, _ = harvests(runs.specs[0], bench)
    covariance = data.rows(data.kept[:8192]).mT.cov() if s.frozen == "decoder" else None
    return fit_on(data, [(runs, freeze(topk(runs), s.frozen, covariance))], bench)[0]


def reuse_dictionaries(runs: Runs[Utility], bench: Bench, before: Trained) -> Trained:
    """The dictionaries of another arm, with other labels."""
    return before.with_tensors(before.tensors)


def measure(runs: Runs[Utility], trained: Trained, bench: Bench) -> xr.Dataset:
    """What every method reaches on every concept in both tests, and how good the dictionary is."""
    outcomes = [
        measured(s, entry.normalised, bench)
        for s, entry in zip(runs, Dictionary.of(trained.to("cpu")), strict=True)
    ]
    names, aurocs, errors = zip(*outcomes, strict=True)
    return measures(
        runs,
        coords={"task": list(names[0]), "probe": list(METHODS), "part": list(PARTS)},
        auroc=("run task probe part", np.stack(aurocs), "AUROC"),
        fvu=("run", np.array(errors), "share"),
    )


def measured(
    s: Utility, dictionary: Dictionary, bench: Bench
) -> tuple[tuple[str, ...], np.ndarray, float]:
    """The names of a run's concepts, AUROC [concept, method, part], and FVU on held-out text."""
    data, test = harvests(s, bench)
    sizes = (sum(s.sizes[:2]), *s.sizes[2:])
    texts = texts_spec(s.lot, sizes)
    several, spec = concepts(texts, bench), read_spec(s, data, texts)
    read = streams(spec, several, data, bench)
    label, part = (np.array([getattr(c, name) for c in several]) for name in ("yes", "part"))
    passages = Passages(tuple(c.name for c in several), read.tokens, label, part)
    f = features(read.x, dictionary)
    if s.labels == "planted":
        passages = replace(passages, label=planted(f["last"] > 0, part))
    q = questions(passages, s.sizes[0], s.seed, s.labels == "shuffled")
    reached = numbers(sparse(f, q, "features"))

    def others() -> Numbers:
        return plainly(s, read, passages, q, data, bench)

    # What is asked of one dictionary alone is of no use to another run.
    reached |= others() if s.labels == "planted" else arrays(bench, plain_spec(s, spec), others)
    reached["baseline"] = picked(reached, BASELINES)
    reached["with"] = picked(reached, (*BASELINES, *SAE))
    reached["careless"] = picked(reached, (*BASELINES, *SAE), by=2)
    if spec.trained and s.labels != "planted":
        reached |= arrays(bench, AskedSpec(of=spec), lambda: in_words(several, data, bench))
    nothing = np.full((3, len(several)), np.nan)
    auroc = np.stack([reached.get(name, nothing)[1:] for name in METHODS])
    x = test.rows(test.kept)
    with torch.no_grad():
        off = dictionary.reconstruct(x) - x
    fvu = float(off.square().sum() / (x - x.mean(0)).square().sum())
    return passages.names, auroc.transpose(2, 0, 1), fvu


def planted(on: Bool[torch.Tensor, "q row f"], part: np.ndarray) -> Bool[np.ndarray, "q row"]:
    """For each concept whether a feature is on: that one which in each part is on most nearly in
    half of the passages."""
    rates = torch.stack([on[:, torch.from_numpy(part[0] == p)].float().mean(1) for p in range(3)])
    which = (rates - 0.5).abs().amax(0).argmin(1)
    return on[torch.arange(len(on)), :, which].numpy()


def plainly(
    s: Utility, read: Streams, passages: Passages, q: Questions, data: Harvest, bench: Bench
) -> Numbers:
    """What methods without a dictionary reach; with true labels also one of random directions, and
    with the model's weights a fine-tuned block."""
    reached = numbers(plain(passages, pooled(read.x), q))
    if s.labels == "true":
        some = data.rows(generator(s.seed, "utility.sample").permutation(data.kept)[:2048])
        chance = random_directions(some, s.width, s.k / s.width, s.seed)
        reached |= numbers(sparse(features(read.x, chance), q, "random"))
        if read.z is not None:
            scores = fine_tuned(data.model(bench.device), s.layer, read, data, q, s.seed)
            reached |= numbers(iter([("fine-tuned", best(scores, q))]))
    return reached


def in_words(several: tuple[Concept, ...], data: Harvest, bench: Bench) -> Numbers:
    """AUROC of the model's answers about the first passages of the test under shift."""
    first = several[0].part.index(2)
    rows = slice(first, first + QUESTIONS)
    scores = answer(data.model(bench.device), several, [c.text[rows] for c in several])
    true = torch.tensor([c.yes[rows] for c in several])
    nothing = np.full((2, len(several)), np.nan)
    return {"asked": np.concatenate([nothing, auc(torch.from_numpy(scores), true).numpy()[None]])}


@dataclass(frozen=True, kw_only=True)
class AskedSpec(Spec):
    """What a model answers when it is asked in words."""

    of: ReadSpec
    """The passages."""


@dataclass(frozen=True, kw_only=True)
class PlainSpec(Spec):
    """What methods without a learned dictionary reach; the seed draws the training passages."""

    of: ReadSpec
    """The passages."""
    train: int
    """Passages to train on."""
    labels: str
    """True or shuffled."""
    width: int
    """Features of a random dictionary."""
    k: int
    """How many of them are on, in the mean."""


def plain_spec(s: Utility, of: ReadSpec) -> PlainSpec:
    """The name under which they are kept."""
    return PlainSpec(seed=s.seed, of=of, train=s.sizes[0], labels=s.labels, width=s.width, k=s.k)


def read_spec(s: Utility, data: Harvest, texts: TextsSpec) -> ReadSpec:
    """The name under which streams are kept."""
    return ReadSpec(
        texts=texts,
        model=data.trained_on["model"],
        dtype=data.dtype,
        harvest=data.spec.replace(subject=""),
        trained=s.weights == "trained",
    )


def arrays(bench: Bench, spec: Spec, work: Callable[[], Numbers]) -> Numbers:
    """The arrays kept under this name, worked out by whoever comes first."""

    def build(path: Path) -> None:
        values: dict[str, Any] = work()
        np.savez(path / "numbers.npz", **values)

    return dict(np.load(bench.artefact(spec, build) / "numbers.npz"))
