"""The method of dictionary-weights: how a run is trained or made, and what is measured of its
matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from jaxtyping import Float

from assay.core.bench import Bench
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import frontier
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training.freezing import freeze
from assay.dictionaries.training.on_text import fit_on, independent, joint, topk
from assay.experiments.dictionary_weights.matrices import CURVE, EDGES, matrix_measures
from assay.experiments.dictionary_weights.setting import DictionaryWeights

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method


def activations(s: DictionaryWeights, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest): what the MLP's output projection reads in this seed's
    model."""
    return s.activations("blocks.0.mlp.hook_post", bench, windows=0, per_file=s.per_file)


def shuffled(x: torch.Tensor, seed: int, index: int) -> torch.Tensor:
    """Rows with neurons made independent of one another."""
    return independent(x, "dictionary-weights.shuffle", seed, index)


def mixed(s: DictionaryWeights) -> Callable[[torch.Tensor], torch.Tensor]:
    """What is done to test activations before they are measured: nothing, or neurons made
    independent."""
    return (lambda x: shuffled(x, s.seed, -1)) if s.acts == "shuffled" else (lambda x: x)


def covariance(data: Harvest) -> Float[torch.Tensor, "m m"]:
    """Second moments of the normalised training activations."""
    x = data.rows(data.kept)
    return x.T @ x / len(x)


def method(runs: Runs[DictionaryWeights], data: Harvest) -> Method:
    """How this arm's dictionary is trained. A frozen decoder starts with the activations'
    covariance: the better of its two starts."""
    frozen = runs.shared.frozen
    return freeze(topk(runs), frozen, covariance(data) if frozen == "decoder" else None)


def train_together(groups: Sequence[Runs[DictionaryWeights]], bench: Bench) -> list[Trained]:
    """Dictionaries of one seed in one pass over the same batches; a seed has a model of its own, so
    it is a group of its own."""
    s, batches = groups[0].specs[0], None
    data, _ = activations(s, bench)
    if s.acts == "shuffled":
        plain = data.batches(groups[0].seeds, s.batch)

        def batches(step: int) -> torch.Tensor:
            return shuffled(plain(step), s.seed, step)

    trained = fit_on(data, [(runs, method(runs, data)) for runs in groups], bench, batches=batches)
    return [in_use(member, s, bench) for member in trained]


def train(runs: Runs[DictionaryWeights], bench: Bench) -> Trained:
    return train_together([runs], bench)[0]


def untrained(runs: Runs[DictionaryWeights], bench: Bench) -> Trained:
    """Dictionaries that nothing trains: as training starts, or every neuron a feature."""
    (s,) = runs.specs
    data, _ = activations(s, bench)
    if s.matrix == "start":
        first = data.rows(data.kept[:1])
        start = fit_on(
            data,
            [(runs, method(runs, data))],
            bench,
            batches=lambda step: first,
            steps=0,
            note_origin=False,
        )[0]
        return in_use(start, s, bench)
    eye, zero = torch.eye(data.d)[None], torch.zeros(1, data.d)
    dictionary = Dictionary(
        eye,
        zero,
        eye,
        zero,
        ReLU(),
        mean=torch.from_numpy(data.mean)[None],
        scale=torch.tensor([data.scale]),
    )
    return in_use(replace(dictionary, sites=(data.spec.site,)).to_trained(), s, bench)


def in_use(trained: Trained, s: DictionaryWeights, bench: Bench) -> Trained:
    """Note beside a dictionary what its matrix is weighed by: firings and E f² of features, and
    neurons' covariance, all on test text."""

    _, test = activations(s, bench)
    trained = trained.to("cpu")  # where rows are read
    x, dictionary = mixed(s)(test.rows(test.kept)), Dictionary.of(trained)
    firings, use = torch.zeros(2, dictionary.width, dtype=torch.float64)
    for part in x.split(2048):
        features = dictionary.normalised.encode(part)[0]
        firings += (features > 0).sum(0)
        use += features.double().square().sum(0)
    statistics = {
        "firings": firings[None],
        "use": use[None] / len(x),
        "covariance": torch.cov(x.T)[None],
    }
    header = {**trained.header, "beside": [*trained.header.get("beside", ()), *statistics]}
    return replace(trained, tensors={**trained.tensors, **statistics}, header=header)


def measure(runs: Runs[DictionaryWeights], trained: Trained, bench: Bench) -> xr.Dataset:
    """How dense the matrix is by feature and by neuron; of dictionaries on a model's own
    activations also FVU and how readable features are."""
    from assay.experiments.dictionary_weights.rules import readable

    (s,), trained = runs.specs, trained.to("cpu")
    variables = matrix_measures(trained, s.seed)
    coords = {"rank": CURVE.tolist(), "bin": EDGES[:-1].tolist()}
    if s.matrix in ("learned", "start"):
        dictionary, (train, test) = Dictionary.of(trained), activations(s, bench)
        if s.matrix == "learned":
            sums, documents = frontier.document_measures(dictionary, test, mixed(s))
            variables |= {name: sums[name] for name in frontier.FRONTIER}
            coords |= documents
        if s.acts == "model":
            variables |= readable(
                dictionary, train, test, seed=s.seed, windows=s.texts, features=s.features
            )
    return measures(runs, coords=coords, **variables)


TOGETHER = joint(train_together)
"""Arms on the same activations, trained as long, share a pass over the same batches."""
