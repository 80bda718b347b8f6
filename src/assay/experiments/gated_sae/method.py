"""The method of gated-sae: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from assay.core import Cost, Joint, PerRun, Spec, probes
from assay.core.bench import Bench
from assay.core.errors import ModelError
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.core.rng import generator
from assay.core.runs import Runs
from assay.core.spec import removed
from assay.data.harvest import Harvest, HarvestSpec, harvest
from assay.data.harvest import inputs as harvest_inputs
from assay.data.names import InWords
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.measuring import frontier
from assay.dictionaries.measuring.splice import cross_entropy
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.features.showcase import card_measures
from assay.subjects.folder import find
from assay.subjects.site import Site

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method


@dataclass(frozen=True, kw_only=True)
class GatedSAE(InWords, Spec):
    penalty: PerRun[Annotated[float, Ge(0)]] = 0.2
    """λ on the sum of features (Gated: of the gate); means different things to different methods,
    so never compared at equal λ."""
    method: Literal["gated", "gated-no-aux", "relu", "topk"] = "gated"
    """The architecture and its loss."""
    width: Annotated[int, Ge(1)] = 512
    """Features in the dictionary."""
    k: Annotated[int, Ge(1)] = 16
    """Features that TopK keeps; other methods ignore it."""
    subject: str = "smollm2"
    """The language model: "smollm2", "gemma3-270m", a local folder or a hub's name."""
    layer: Annotated[int, Ge(0)] = 9
    """The site is the residual stream before this block."""
    corpus: str = "stdlib"
    """The text: "stdlib", "docs" or a folder of text files."""
    windows: Annotated[int, Ge(1)] = 500
    """Training windows of 128 tokens."""
    per_file: Annotated[int, Ge(0)] = 2
    """Test windows from one file, at most, so that no large file is most of the test."""
    passages: Annotated[int, Ge(1)] = 8
    """Test documents (one window each) on which cross-entropy is measured."""
    ce_at: tuple[float, ...] = ()
    """Penalties at which cross-entropy is measured: it costs more than training."""
    batch: Annotated[int, Ge(1)] = 128
    """Activations a step."""
    steps: Annotated[int, Ge(2)] = 500
    """Training steps."""
    lr: Annotated[float, Gt(0)] = 4e-3
    """Adam's learning rate at its top."""
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; parameters are float32. Many CPUs are far slower in
    bfloat16."""
    repair: Literal["", "rescale"] = ""
    """What is done to a trained dictionary: nothing, or rescale & shift."""
    of: ClassVar = removed("of", was="")
    """A field of the first design: which dictionary a repair was of."""
    showcase_width: int = 4608
    """Width of the one dictionary whose features are shown."""
    showcase_steps: int = 250
    """Steps for it, each of eight batches."""
    repair_rows: int = 10_000
    """Training activations to which a repair is fitted."""
    repair_pull: float = 5.0
    """Firings' worth of pull towards no repair: plain least squares gave rare features factors up
    to 13 (pilot seeds 0 and 1)."""
    shrink: float = 1.0
    """By what the features of another arm are multiplied: a planted bias."""
    replicate: int = 0
    """Another independent draw of start and data order at the same seed."""
    cards: int = 0
    """How many features are written up as cards."""
    card_windows: int = 250
    """Training windows on which they are shown."""

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


def activations(s: GatedSAE, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest), made once and read by every arm."""
    train = harvest(s.text("train", s.windows), bench)
    return train, harvest(s.text("test", per_file=s.per_file), bench, like=train)


def method(runs: Runs[GatedSAE]) -> Method:
    """How this arm's dictionaries are trained: the pilot's settings for every method, momentum for
    TopK alone."""
    from assay.dictionaries.training.train import Method

    s = runs.shared
    options: dict[str, Any] = {
        "width": s.width,
        "lr": np.full(len(runs), s.lr),
        "penalty": runs.each("penalty"),
        "products": s.products,
    }
    if s.method == "topk":
        return Method(TopK(s.k), losses.mse, betas=(0.9, 0.999), encoder_scale=1.0, **options)
    if s.method == "relu":
        return Method(ReLU(), losses.l1, **options)
    return Method(Gated(), losses.gated if s.method == "gated" else losses.gated_no_aux, **options)


def train_together(groups: Sequence[Runs[GatedSAE]], bench: Bench) -> list[Trained]:
    """Dictionaries of several shapes in one pass over the same batches."""
    from assay.dictionaries.training.train import fit_dictionaries

    s = groups[0].shared
    data, _ = activations(s, bench)
    replicas = [r.replicated() for r in groups]
    return fit_dictionaries(
        [(r, method(r)) for r in replicas],
        data.batches(replicas[0].seeds, s.batch),
        d=data.d,
        steps=s.steps,
        bench=bench,
        mean=data.mean,
        scale=data.scale,
        sites=(data.spec.site,),
        probe_at=probes(s.steps, 20),
    )


def train(runs: Runs[GatedSAE], bench: Bench) -> Trained:
    return train_together([runs], bench)[0]


def repair(runs: Runs[GatedSAE], bench: Bench, before: Trained) -> Trained:
    """Another arm's dictionaries with features rescaled & shifted, fitted to training
    activations."""
    from assay.dictionaries.baselines.repair import rescale_and_shift

    dictionaries = Dictionary.of(before)
    data, _ = activations(runs.shared, bench)
    chosen = generator(int(runs.seeds[0]), "gated-sae.rows").permutation(data.kept)[
        : runs.shared.repair_rows
    ]
    mended = rescale_and_shift(
        dictionaries.normalised, data.rows(np.sort(chosen)), pull=runs.shared.repair_pull
    )
    return replace(mended, mean=dictionaries.mean, scale=dictionaries.scale).to_trained()


def shrink(runs: Runs[GatedSAE], bench: Bench, before: Trained) -> Trained:
    """Another arm's dictionaries with all features multiplied, and nothing else wrong."""
    from assay.dictionaries.baselines.repair import shrunk

    return shrunk(Dictionary.of(before), runs.shared.shrink).to_trained()


def measure(runs: Runs[GatedSAE], trained: Trained, bench: Bench) -> xr.Dataset:
    s = runs.shared
    data, test = activations(s, bench)
    dictionary = Dictionary.of(trained)
    variables, coords = frontier.document_measures(dictionary, test)
    if not s.cards:
        del variables["density"]  # which is shown of the showcase alone
    if trained.history:
        coords["step"] = trained.steps.tolist()
        variables["loss"] = ("run step", trained.history["loss"], "1")
    if s.ce_at:
        files, losses = cross_entropy(
            dictionary, test, s.passages, bench, only=np.isin(runs.each("penalty"), s.ce_at)
        )
        coords["passage"] = files
        variables |= {
            f"ce_{name}": ("run passage", values, "nats") for name, values in losses.items()
        }
    if s.cards:
        more, levels = card_measures(dictionary, data, bench, windows=s.card_windows, count=s.cards)
        variables |= more
        coords |= levels
    return measures(runs, coords=coords, **variables)


def inputs(spec: GatedSAE) -> dict[str, str]:
    """Model and corpus of a run, after a look at whether the model has the site at all."""
    find(spec.subject).check(Site.parse(spec.text("train").site))
    return harvest_inputs(spec.text("train", spec.windows))


def cost(runs: Runs[GatedSAE]) -> Cost:
    """The disk that the harvest takes, shared by all arms; seconds come from the record."""
    harvest = runs.shared.text("train", runs.shared.windows)
    try:
        size = harvest.bytes()
    except ModelError:  # of a model that is not here; `inputs` says what to type
        return Cost()
    return Cost(bytes=size, artefacts={harvest.to_json(): size})


TOGETHER, SHORT = (Joint(lambda groups, bench: train_together(groups, bench)) for _ in range(2))
"""Arms of equal length share a pass over the same batches."""
