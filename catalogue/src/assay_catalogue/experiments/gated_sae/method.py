"""The method of gated-sae: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from assay.core import Bench, PerRun, Runs, Trained, removed
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.gates import Gated
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses
from assay.train.rng import generator
from assay_catalogue.dictionaries import frontier, on_text
from assay_catalogue.dictionaries.on_text import HeldOutDictionary, activations, fit_on, joint, topk
from assay_catalogue.dictionaries.splicing import cross_entropy
from assay_catalogue.features.showcase import card_measures

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method


@dataclass(frozen=True, kw_only=True)
class GatedSAE(HeldOutDictionary):
    penalty: PerRun[Annotated[float, Ge(0)]] = 0.2
    """λ on the sum of features (Gated: of the gate); means different things to different methods,
    so never compared at equal λ."""
    method: Literal["gated", "gated-no-aux", "relu", "topk"] = "gated"
    """The architecture and its loss."""
    layer: Annotated[int, Ge(0)] = 9
    passages: Annotated[int, Ge(1)] = 8
    """Test documents (one window each) on which cross-entropy is measured."""
    ce_at: tuple[float, ...] = ()
    """Penalties at which cross-entropy is measured: it costs more than training."""
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


def method(runs: Runs[GatedSAE]) -> Method:
    """How this arm's dictionaries are trained: the pilot's settings for every method, momentum for
    TopK alone."""
    s, penalty = runs.shared, runs.each("penalty")
    if s.method == "topk":
        return topk(runs, penalty=penalty)
    kinds: dict[str, tuple[Any, Any]] = {
        "relu": (ReLU(), losses.l1),
        "gated": (Gated(), losses.gated),
        "gated-no-aux": (Gated(), losses.gated_no_aux),
    }
    gate, loss = kinds[s.method]
    return on_text.method(runs, gate, loss, penalty=penalty)


def train_together(groups: Sequence[Runs[GatedSAE]], bench: Bench) -> list[Trained]:
    """Dictionaries of several shapes in one pass over the same batches."""
    data, _ = activations(groups[0].shared, bench)
    replicas = [r.replicated() for r in groups]
    return fit_on(data, [(r, method(r)) for r in replicas], bench, note_origin=False)


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


TOGETHER, SHORT = joint(train_together), joint(train_together)
