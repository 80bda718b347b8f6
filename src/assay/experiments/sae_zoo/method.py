"""The method of sae-zoo: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float

from assay.core import Cost, Joint, PerRun, Spec, probes
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.rng import generator, integers
from assay.core.runs import Runs
from assay.core.spec import added
from assay.data.harvest import Harvest, HarvestSpec, harvest
from assay.data.harvest import inputs as harvest_inputs
from assay.data.names import DRAWN, InWords, model_in_words
from assay.dictionaries.baselines.linear import pca
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.kinds import to_json
from assay.dictionaries.measuring import frontier
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.subjects.folder import find
from assay.subjects.site import Site
from assay.subjects.untrained import untrained

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method


@dataclass(frozen=True, kw_only=True)
class SAEZoo(InWords, Spec):
    method: Literal["batch-topk", "topk", "matryoshka", "relu", "jumprelu", "random", "pca"] = (
        "batch-topk"
    )
    """The architecture and its loss, or an untrained baseline."""
    penalty: PerRun[Annotated[float, Ge(0)]] = 0.0
    """λ of the methods that have one, chosen on pilot seeds for an L0 near k; never compared across
    methods."""
    k: Annotated[int, Ge(1)] = 16
    """Features that the TopK family keeps on average; rank of pca."""
    frozen: Literal["", "encoder", "decoder"] = added("", before="")
    """Which half of the dictionary stays as random as it started."""
    acts: Literal["model", "shuffled", "untrained"] = "model"
    """Activations of the model; the same with every coordinate permuted by itself; those of a model
    with weights drawn by the seed."""
    width: Annotated[int, Ge(1)] = 512
    """Features in the dictionary."""
    subject: str = "smollm2"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    layer: Annotated[int, Ge(1)] = 9
    """The site is the residual stream before this block."""
    corpus: str = "stdlib"
    """The text: "stdlib", "docs" or a folder of text files."""
    windows: Annotated[int, Ge(1)] = 500
    """Training windows of 128 tokens."""
    per_file: Annotated[int, Ge(0)] = 2
    """Test windows from one file, at most, so that no large file is most of the test."""
    batch: Annotated[int, Ge(1)] = 128
    """Activations a step."""
    steps: Annotated[int, Ge(2)] = 500
    """Training steps."""
    lr: Annotated[float, Gt(0)] = 4e-3
    """Adam's learning rate at its top."""
    bandwidth: float = 0.1
    """Width of JumpReLU's window, in units of normalised activations; its thresholds start
    there."""
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training where the gradients are written by hand; many CPUs
    are far slower in bfloat16."""
    rows: Annotated[int, Ge(1)] = 10_000
    """Training activations to which untrained baselines are fitted."""
    replicate: int = 0
    """Another independent draw of start and data order at the same seed."""

    @property
    def model_in_words(self) -> str:
        """The language model whose activations are read."""
        return model_in_words(DRAWN + self.subject if self.acts == "untrained" else self.subject)

    def text(
        self, part: Literal["train", "test"], windows: int = 0, per_file: int = 0
    ) -> HarvestSpec:
        """The harvest of one part of the corpus at this site."""
        site = f"blocks.{self.layer}.hook_resid_pre"
        return HarvestSpec(
            subject=self.subject,
            site=site,
            corpus=self.corpus,
            part=part,
            windows=windows,
            per_file=per_file,
        )


def activations(runs: Runs[SAEZoo], bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest) of the model, or of the same architecture with weights drawn
    by the first run's seed."""
    s = runs.shared
    train, test = s.text("train", s.windows), s.text("test", per_file=s.per_file)
    if s.acts == "untrained":
        # the same place: the model without its weights ends there
        site = f"blocks.{s.layer - 1}.hook_resid_post"
        overrides = {
            "subject": str(untrained(s.subject, s.layer, bench, seed=int(runs.seeds[0]))),
            "site": site,
        }
        train, test = train.replace(**overrides), test.replace(**overrides)
    data = harvest(train, bench)
    return data, harvest(test, bench, like=data)


def shuffled(
    x: Float[torch.Tensor, "*run b d"], seed: int, index: int
) -> Float[torch.Tensor, "*run b d"]:
    """The rows with every coordinate rolled by its own random number of rows: each keeps its law,
    what ties them is gone."""
    b, d = x.shape[-2:]
    offset = torch.from_numpy(integers(np.array([seed]), "sae-zoo.shuffle", index, (d,), b)[0])
    return x.gather(-2, ((torch.arange(b)[:, None] + offset) % b).expand(x.shape))


def method(runs: Runs[SAEZoo]) -> Method:
    """How this arm's dictionaries are trained: the pilot's rate and penalty for each, the same data
    and steps for all."""
    from assay.dictionaries.training.train import Method

    s = runs.shared
    frozen = {"": (), "encoder": ("W_enc", "b_enc"), "decoder": ("W_dec",)}[s.frozen]
    options: dict[str, Any] = {
        "width": s.width,
        "lr": np.full(len(runs), s.lr),
        "penalty": runs.each("penalty"),
        "products": s.products,
        "frozen": frozen,
    }
    ranked = {"betas": (0.9, 0.999), "encoder_scale": 1.0, **options}
    match s.method:
        case "topk":
            return Method(TopK(s.k), losses.mse, **ranked)
        case "batch-topk":
            return Method(BatchTopK(s.k), losses.mse, **ranked)
        case "matryoshka":
            return Method(
                BatchTopK(s.k),
                losses.Matryoshka(tuple(round(s.width * part) for part in PREFIXES)),
                **ranked,
            )
        case "relu":
            return Method(ReLU(), losses.l1, **options)
        case "jumprelu":
            return Method(JumpReLU(s.bandwidth, s.bandwidth), losses.jumprelu, **options)
    raise SpecError(f"{s.method} is not trained by gradient descent")


PREFIXES = (1 / 8, 1 / 4, 1 / 2, 1)
"""Shares of the width that Matryoshka reconstructs from, each by itself."""


def train_together(groups: Sequence[Runs[SAEZoo]], bench: Bench) -> list[Trained]:
    """Dictionaries of several architectures in one pass over the same batches."""
    from assay.dictionaries.training.train import fit_dictionaries

    s = groups[0].shared
    data, _ = activations(groups[0], bench)
    replicas = [r.replicated() for r in groups]
    seeds = replicas[0].seeds
    plain = data.batches(seeds, s.batch)
    batches = (
        plain if s.acts != "shuffled" else lambda step: shuffled(plain(step), int(seeds[0]), step)
    )
    return fit_dictionaries(
        [(r, method(r)) for r in replicas],
        batches,
        d=data.d,
        steps=s.steps,
        bench=bench,
        mean=data.mean,
        scale=data.scale,
        sites=(data.spec.site,),
        probe_at=probes(s.steps, 20),
        trained_on=data.trained_on,
    )


def train(runs: Runs[SAEZoo], bench: Bench) -> Trained:
    return train_together([runs], bench)[0]


def fit_baselines(runs: Runs[SAEZoo], bench: Bench) -> Trained:
    """Baselines that no gradient trains, fitted to activations drawn by each seed."""
    from assay.dictionaries.baselines.repair import refit_decoder

    dictionaries = []
    for run in runs.split(1):
        s = run.shared
        data, _ = activations(run, bench)
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
    _, test = activations(runs, bench)
    change = (
        (lambda x: shuffled(x, int(runs.seeds[0]), -1)) if s.acts == "shuffled" else (lambda x: x)
    )
    variables, coords = frontier.document_measures(Dictionary.of(trained), test, change)
    del variables["density"]  # a number for each feature, which nothing here reads
    if trained.history:
        coords["step"] = trained.steps.tolist()
        variables["loss"] = ("run step", trained.history["loss"], "1")
    return measures(runs, coords=coords, **variables)


def inputs(spec: SAEZoo) -> dict[str, str]:
    """Model and corpus of a run, after a look at whether the model has the site at all."""
    find(spec.subject).check(Site.parse(spec.text("train").site))
    return harvest_inputs(spec.text("train", spec.windows))


def cost(runs: Runs[SAEZoo]) -> Cost:
    """The disk that the harvest takes, shared by the arms on the same activations; seconds come
    from the record."""
    harvest = runs.shared.text("train", runs.shared.windows)
    return Cost(bytes=harvest.bytes(), artefacts={harvest.to_json(): harvest.bytes()})


TOGETHER, SHORT = (Joint(lambda groups, bench: train_together(groups, bench)) for _ in range(2))
"""Arms of equal length share a pass over the same batches."""
