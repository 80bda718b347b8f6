"""The method of dictionary-weights: how a run is trained or made, and what is measured of its
matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from assay.core import Cost, Joint, probes
from assay.core.bench import Bench
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.rng import integers
from assay.core.runs import Runs
from assay.data import corpus as corpora
from assay.data.harvest import Harvest, HarvestSpec, harvest
from assay.data.tiny import tiny
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import frontier
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.selection import TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.freezing import freeze
from assay.experiments.dictionary_weights.matrices import CURVE, EDGES, matrix_measures
from assay.experiments.dictionary_weights.setting import DictionaryWeights

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method


def activations(s: DictionaryWeights, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest): what the MLP's output projection reads in this seed's
    model."""
    train = HarvestSpec(
        subject=str(tiny(s.model(), bench)),
        site="blocks.0.mlp.hook_post",
        corpus=s.corpus,
        windows=s.windows,
        context=s.context,
        dtype="float32",
    )
    data = harvest(train, bench)
    return data, harvest(
        train.replace(part="test", windows=0, per_file=s.per_file), bench, like=data
    )


def shuffled(
    x: Float[torch.Tensor, "*run b m"], seed: int, index: int
) -> Float[torch.Tensor, "*run b m"]:
    """Rows with every neuron rolled by its own random number of rows: each keeps its law, what ties
    them is gone."""
    b, m = x.shape[-2:]
    offset = torch.from_numpy(
        integers(np.array([seed]), "dictionary-weights.shuffle", index, (m,), b)[0]
    )
    return x.gather(-2, ((torch.arange(b)[:, None] + offset) % b).expand(x.shape))


def mixed(s: DictionaryWeights) -> Callable[[torch.Tensor], torch.Tensor]:
    """What is done to test activations before they are measured: nothing, or neurons made
    independent."""
    return (lambda x: shuffled(x, s.seed, -1)) if s.acts == "shuffled" else (lambda x: x)


def covariance(data: Harvest) -> Float[torch.Tensor, "m m"]:
    """Second moments of the normalised training activations."""
    x = data.rows(data.kept)
    return x.T @ x / len(x)


def method(s: DictionaryWeights, data: Harvest) -> Method:
    """How this arm's dictionary is trained. A frozen decoder starts with the activations'
    covariance: the better of its two starts."""
    from assay.dictionaries.training.train import Method

    plain = Method(
        TopK(s.k),
        losses.mse,
        s.width,
        lr=np.array([s.lr]),
        penalty=np.zeros(1),
        betas=(0.9, 0.999),
        encoder_scale=1.0,
        products=s.products,
    )
    return freeze(plain, s.frozen, covariance(data) if s.frozen == "decoder" else None)


def train_together(groups: Sequence[Runs[DictionaryWeights]], bench: Bench) -> list[Trained]:
    """Dictionaries of one seed in one pass over the same batches; a seed has a model of its own, so
    it is a group of its own."""
    from assay.dictionaries.training.train import fit_dictionaries

    specs = [runs.specs[0] for runs in groups]
    s, seeds = specs[0], groups[0].seeds
    data, _ = activations(s, bench)
    plain = data.batches(seeds, s.batch)
    batches = (
        plain if s.acts == "model" else lambda step: shuffled(plain(step), int(seeds[0]), step)
    )
    trained = fit_dictionaries(
        [(runs, method(member, data)) for runs, member in zip(groups, specs, strict=True)],
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
    return [in_use(member, s, bench) for member in trained]


def train(runs: Runs[DictionaryWeights], bench: Bench) -> Trained:
    return train_together([runs], bench)[0]


def untrained(runs: Runs[DictionaryWeights], bench: Bench) -> Trained:
    """Dictionaries that nothing trains: as training starts, or every neuron a feature."""

    from assay.dictionaries.training.train import fit_dictionaries

    (s,) = runs.specs
    data, _ = activations(s, bench)
    if s.matrix == "start":
        start = fit_dictionaries(
            [(runs, method(s, data))],
            lambda step: data.rows(data.kept[:1]),
            d=data.d,
            steps=0,
            bench=bench,
            mean=data.mean,
            scale=data.scale,
            sites=(data.spec.site,),
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
    variables, coords = (
        matrix_measures(trained, s.seed),
        {"rank": CURVE.tolist(), "bin": EDGES[:-1].tolist()},
    )
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


def inputs(spec: DictionaryWeights) -> dict[str, str]:
    """The corpus; the models follow from it and the spec."""
    return {"corpus": corpora.load(spec.corpus).fingerprint}


def cost(runs: Runs[DictionaryWeights]) -> Cost:
    """The disk that harvests take; seconds come from the record."""
    s = runs.shared
    return Cost(bytes=s.windows * s.context * (2 * s.m + 4))


TOGETHER = Joint(lambda groups, bench: train_together(groups, bench))
"""Arms on the same activations, trained as long, share a pass over the same batches."""
