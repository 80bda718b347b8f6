"""The method of autointerp-io: how dictionaries are trained, several in one pass, and what is asked
of their explanations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from assay.core import Bench, Cost, Runs, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.harvest import Harvest
from assay.data.tiny import tiny
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.training.freezing import freeze
from assay.subjects.pretrained import load
from assay_catalogue.dictionaries.on_text import fit_on, joint, topk
from assay_catalogue.experiments.autointerp_io.setting import InputsOutputs

if TYPE_CHECKING:
    pass


def activations(s: InputsOutputs, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training part, test part): the MLP's activations in this seed's model."""
    return s.activations("blocks.0.mlp.hook_post", bench, windows=s.tested)


def train_together(groups: Sequence[Runs[InputsOutputs]], bench: Bench) -> list[Trained]:
    """Dictionaries of one seed, learned in full or in part, in one pass over the same batches."""
    (s,) = groups[0].specs  # a seed has a model of its own, so it is a group of its own
    data, _ = activations(s, bench)
    return fit_on(data, [(runs, freeze(topk(runs), runs.shared.frozen)) for runs in groups], bench)


def train(runs: Runs[InputsOutputs], bench: Bench) -> Trained:
    """One dictionary of this seed."""
    return train_together([runs], bench)[0]


TOGETHER = joint(train_together)
"""Arms of one model and length share a pass over the same batches."""


def measure(runs: Runs[InputsOutputs], trained: Trained, bench: Bench) -> xr.Dataset:
    """How explanations of features, neurons and directions do on files that no explanation has
    seen."""
    from assay_catalogue.experiments.autointerp_io.one_token import open_measures, planted_measures
    from assay_catalogue.experiments.autointerp_io.reading import Features, reading
    from assay_catalogue.experiments.autointerp_io.scored import drawn_measures

    (s,) = runs.specs
    data, test = activations(s, bench)
    features = Features.of(Dictionary.of(trained.to("cpu")), reading(data, test))
    variables: dict[str, tuple[str, Any, str]] = {
        "loss": ("run step", trained.history["loss"], "1")
    }
    variables |= drawn_measures(s, features) | open_measures(
        s, features, likely(tiny(s.model(later=1), bench), test)
    )
    if s.further:
        variables |= planted_measures(s)
    return measures(runs, coords={"step": trained.steps.tolist()}, **variables)


@lru_cache(maxsize=1)
def likely(model: Path, test: Harvest) -> Float[np.ndarray, "row v"]:
    """What a model expects next at every kept row of the test part, as probabilities."""

    other = load(str(model)).model
    with torch.no_grad():
        logits = [
            other(input_ids=ids).logits
            for ids in torch.from_numpy(test.tokens.astype(np.int64)).split(256)
        ]
    return torch.cat(logits).flatten(0, 1)[torch.from_numpy(test.kept)].float().softmax(-1).numpy()


def cost(runs: Runs[InputsOutputs]) -> Cost:
    """The disk that harvests take; seconds come from the record."""
    s = runs.shared
    return Cost(bytes=(s.windows + s.tested) * 64 * (2 * s.m + 4))
