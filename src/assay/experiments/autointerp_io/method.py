"""The method of autointerp-io: how a dictionary is trained, and what is asked of its explanations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from assay.core import Cost, probes
from assay.core.measures import measures
from assay.data import corpus as corpora
from assay.data.targets import TargetSpec, targets
from assay.data.tiny import tiny
from assay.experiments.autointerp_io.setting import InputsOutputs

if TYPE_CHECKING:
    import xarray as xr

    from assay.core.bench import Bench
    from assay.core.fit import Trained
    from assay.core.runs import Runs
    from assay.data.targets import Targets


def target_parts(s: InputsOutputs, bench: Bench) -> tuple[Targets, Targets]:
    """(training part, test part): the activations of this seed's model, and its stream."""
    asked = TargetSpec(subject=str(tiny(s.model(), bench)), targets=("act", "update", "post"), corpus=s.corpus, windows=s.windows,
                       context=64, dtype="float32")  # fmt: skip
    train = targets(asked, bench)
    return train, targets(asked.replace(part="test", windows=s.tested), bench, like=train)


def train(runs: Runs[InputsOutputs], bench: Bench) -> Trained:
    """A dictionary of this seed's activations."""
    from assay.dictionaries.selection import TopK
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.cells import Cell, fit_cells
    from assay.dictionaries.training.train import Method

    (s,) = runs.specs  # a seed has a model of its own, so it is a group of its own
    data, _ = target_parts(s, bench)
    method = Method(TopK(s.k), losses.mse, s.width, lr=np.array([s.lr]), penalty=np.zeros(1), betas=(0.9, 0.999),
                    encoder_scale=1.0, products="float32")  # fmt: skip
    return fit_cells({"act": Cell("act", "act")}, runs, method, data, data.batches(runs.seeds, s.batch), steps=s.steps, bench=bench,
                     probe_at=probes(s.steps, 20))  # fmt: skip


def measure(runs: Runs[InputsOutputs], trained: Trained, bench: Bench) -> xr.Dataset:
    """How explanations of features, neurons and directions do on files that no explanation has seen."""
    from assay.experiments.autointerp_io.asking import asked_measures
    from assay.experiments.autointerp_io.scored import Text, drawn_measures, given_measures

    (s,) = runs.specs
    text = Text.of(s, trained, *target_parts(s, bench), bench)
    named: dict[str, tuple[str, Any, str]] = {"loss": ("run step", trained.history["act:loss"], "1")}
    named |= drawn_measures(s, text) | given_measures(s, text)
    if s.explainer != "rules":
        named |= asked_measures(s, text)
    return measures(runs, coords={"step": trained.steps.tolist()}, **named)


def inputs(spec: InputsOutputs) -> dict[str, str]:
    """The corpus; model and dictionary follow from it and the spec."""
    return {"corpus": corpora.load(spec.corpus).fingerprint}


def cost(runs: Runs[InputsOutputs]) -> Cost:
    """The disk that harvests take; seconds come from the record."""
    s = runs.shared
    return Cost(bytes=(s.windows + s.tested) * 64 * (2 * (s.m + s.d) + 8))
