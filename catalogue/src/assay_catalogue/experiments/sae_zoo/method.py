"""The method of sae-zoo: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from assay.core import Bench, PerRun, Runs, SpecError, Trained, added
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.harvest import Harvest
from assay.data.names import DRAWN, model_in_words
from assay.dictionaries.baselines.directions import pca
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import ReLU, to_json
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.train.rng import generator
from assay_catalogue.dictionaries import frontier, on_text
from assay_catalogue.dictionaries.on_text import (
    HeldOutDictionary,
    activations,
    fit_on,
    independent,
    joint,
    topk,
)

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method


@dataclass(frozen=True, kw_only=True)
class SAEZoo(HeldOutDictionary):
    method: Literal["batch-topk", "topk", "matryoshka", "relu", "jumprelu", "random", "pca"] = (
        "batch-topk"
    )
    """The architecture and its loss, or an untrained baseline."""
    penalty: PerRun[Annotated[float, Ge(0)]] = 0.0
    """λ of the methods that have one, chosen on pilot seeds for an L0 near k; never compared across
    methods."""
    frozen: Literal["", "encoder", "decoder"] = added("", before="")
    """Which half of the dictionary stays as random as it started."""
    acts: Literal["model", "shuffled", "untrained"] = "model"
    """Activations of the model; the same with every coordinate permuted by itself; those of a model
    with weights drawn by the seed."""
    bandwidth: float = 0.1
    """Width of JumpReLU's window, in units of normalised activations; its thresholds start
    there."""
    rows: Annotated[int, Ge(1)] = 10_000
    """Training activations to which untrained baselines are fitted."""
    replicate: int = 0
    """Another independent draw of start and data order at the same seed."""

    @property
    def model_in_words(self) -> str:
        """The language model whose activations are read."""
        return model_in_words(DRAWN + self.subject if self.acts == "untrained" else self.subject)


def harvests(runs: Runs[SAEZoo], bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the model, or with weights drawn by the first seed."""
    drawn = runs.shared.acts == "untrained"
    return activations(runs.shared, bench, int(runs.seeds[0]) if drawn else None)


def shuffled(x: torch.Tensor, seed: int, index: int) -> torch.Tensor:
    """The rows with coordinates made independent of one another."""
    return independent(x, "sae-zoo.shuffle", seed, index)


def method(runs: Runs[SAEZoo]) -> Method:
    """How this arm's dictionaries are trained: the pilot's rate and penalty for each, the same data
    and steps for all."""
    s = runs.shared
    frozen = {"": (), "encoder": ("W_enc", "b_enc"), "decoder": ("W_dec",)}[s.frozen]
    options: dict[str, Any] = {"penalty": runs.each("penalty"), "frozen": frozen}
    match s.method:
        case "topk":
            return topk(runs, **options)
        case "batch-topk":
            return topk(runs, nonlinearity=BatchTopK(s.k), **options)
        case "matryoshka":
            nested = losses.Matryoshka(tuple(round(s.width * part) for part in PREFIXES))
            return topk(runs, nonlinearity=BatchTopK(s.k), loss=nested, **options)
        case "relu":
            return on_text.method(runs, ReLU(), losses.l1, **options)
        case "jumprelu":
            gate = JumpReLU(s.bandwidth, s.bandwidth)
            return on_text.method(runs, gate, losses.jumprelu, **options)
    raise SpecError(f"{s.method} is not trained by gradient descent")


PREFIXES = (1 / 8, 1 / 4, 1 / 2, 1)
"""Shares of the width that Matryoshka reconstructs from, each by itself."""


def train_together(groups: Sequence[Runs[SAEZoo]], bench: Bench) -> list[Trained]:
    """Dictionaries of several architectures in one pass over the same batches."""
    s = groups[0].shared
    data, _ = harvests(groups[0], bench)
    replicas = [r.replicated() for r in groups]
    seeds, batches = replicas[0].seeds, None
    if s.acts == "shuffled":
        plain = data.batches(seeds, s.batch)

        def batches(step: int) -> torch.Tensor:
            return shuffled(plain(step), int(seeds[0]), step)

    return fit_on(data, [(r, method(r)) for r in replicas], bench, batches=batches)


def train(runs: Runs[SAEZoo], bench: Bench) -> Trained:
    return train_together([runs], bench)[0]


def fit_baselines(runs: Runs[SAEZoo], bench: Bench) -> Trained:
    """Baselines that no gradient trains, fitted to activations drawn by each seed."""
    from assay.dictionaries.baselines.repair import refit_decoder

    dictionaries = []
    for run in runs.split(1):
        s = run.shared
        data, _ = harvests(run, bench)
        x = data.rows(
            np.sort(generator(int(run.seeds[0]), "sae-zoo.rows").permutation(data.kept)[: s.rows])
        )
        if s.method == "random":
            dictionary = refit_decoder(random_features(run, data.d), x)
        else:
            dictionary = pca(x, s.k)[0]
        dictionaries.append(replace(dictionary, sites=(data.spec.site,)))
    return Dictionary.join(dictionaries).to_trained()


def random_features(runs: Runs[SAEZoo], d: int) -> Dictionary:
    """Encoder and decoder rows in the same random unit directions, the k largest kept: what a
    dictionary is before training."""
    from assay.dictionaries.training.train import start

    params = start(runs.seeds, method(Runs([runs.specs[0].replace(method="topk")])), d)
    tensors = {**params, "W_enc": params["W_enc"].mT.contiguous()}
    return Dictionary.from_tensors(tensors, {"nonlinearity": to_json(TopK(runs.shared.k))})


def measure(runs: Runs[SAEZoo], trained: Trained, bench: Bench) -> xr.Dataset:
    s = runs.shared
    _, test = harvests(runs, bench)
    change = (
        (lambda x: shuffled(x, int(runs.seeds[0]), -1)) if s.acts == "shuffled" else (lambda x: x)
    )
    variables, coords = frontier.document_measures(Dictionary.of(trained), test, change)
    del variables["density"]  # a number for each feature, which nothing here reads
    if trained.history:
        coords["step"] = trained.steps.tolist()
        variables["loss"] = ("run step", trained.history["loss"], "1")
    return measures(runs, coords=coords, **variables)


TOGETHER, SHORT = joint(train_together), joint(train_together)
