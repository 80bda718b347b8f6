"""The method of dictionary-weights: what one run is, how it is trained or made, and what is measured of its matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt

from assay.core import Cost, Joint, Spec, probes
from assay.core.measures import measures
from assay.core.rng import generator, integers, normal
from assay.data import corpus as corpora
from assay.data.harvest import HarvestSpec, harvest
from assay.data.tiny import TinySpec, tiny
from assay.dictionaries.measuring import concentration as of
from assay.dictionaries.training.freezing import Part

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from assay.core.bench import Bench
    from assay.core.fit import Trained
    from assay.core.runs import Runs
    from assay.data.harvest import Harvest
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.training.train import Method

LIVE = 10
"""Test tokens on which a feature must have fired to be counted."""
PRIVATE = 0.6
"""Share of neurons that belong to one feature each in the planted matrix."""
CURVE = np.linspace(0, 1, 33)
"""Ranks at which sorted weights are kept, as shares of the number of entries."""


@dataclass(frozen=True, kw_only=True)
class DictionaryWeights(Spec):
    matrix: Literal["learned", "start", "identity", "rotated", "permuted", "random", "planted"] = "learned"
    """Learned; as training starts; every neuron a feature; or main's dictionary with other decoder rows."""
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    acts: Literal["model", "shuffled"] = "model"
    """Activations of the model; the same with every neuron's values at other tokens, so that neurons are independent."""
    model_steps: Annotated[int, Ge(1)] = 480
    """Training steps of the language model that each seed trains."""
    d: Annotated[int, Ge(1)] = 64
    """Width of its stream."""
    m: Annotated[int, Ge(2)] = 256
    """Neurons of its MLP."""
    activation: Literal["gelu", "relu"] = "gelu"
    """Their non-linearity."""
    width: Annotated[int, Ge(1)] = 512
    """Features in the dictionary."""
    k: Annotated[int, Ge(1)] = 8
    """Features that TopK keeps."""
    corpus: str = corpora.STDLIB
    """The text: "stdlib" or a folder of text files."""
    windows: Annotated[int, Ge(0)] = 1800
    """Training windows of `context` tokens."""
    per_file: Annotated[int, Ge(0)] = 4
    """Test windows from one file, at most."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window."""
    batch: Annotated[int, Ge(1)] = 256
    """Tokens a step."""
    steps: Annotated[int, Ge(1)] = 600
    """Training steps of the dictionary."""
    lr: Annotated[float, Gt(0)] = 8e-3
    """Adam's learning rate at its top."""
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; many CPUs are far slower in bfloat16."""
    replicate: int = 0
    """Another independent draw of what is random about the matrix."""

    def model(self) -> TinySpec:
        """The language model of this seed."""
        return TinySpec(seed=self.seed, d=self.d, m=self.m, activation=self.activation, context=self.context, corpus=self.corpus,
                        steps=self.model_steps)  # fmt: skip


def activations(s: DictionaryWeights, bench: Bench) -> tuple[Harvest, Harvest]:
    """(training harvest, test harvest): what the MLP's output projection reads in this seed's model."""
    train = HarvestSpec(subject=str(tiny(s.model(), bench)), site="blocks.0.mlp.hook_post", corpus=s.corpus, windows=s.windows,
                        context=s.context, dtype="float32")  # fmt: skip
    data = harvest(train, bench)
    return data, harvest(train.replace(part="test", windows=0, per_file=s.per_file), bench, like=data)


def shuffled(x: Float[Tensor, "*run b m"], seed: int, index: int) -> Float[Tensor, "*run b m"]:
    """Rows with every neuron rolled by its own random number of rows: each keeps its law, what ties them is gone."""
    import torch

    b, m = x.shape[-2:]
    offset = torch.from_numpy(integers(np.array([seed]), "dictionary-weights.shuffle", index, (m,), b)[0])
    return x.gather(-2, ((torch.arange(b)[:, None] + offset) % b).expand(x.shape))


def covariance(data: Harvest) -> Float[Tensor, "m m"]:
    """Second moments of the normalised training activations."""
    x = data.rows(data.kept)
    return x.T @ x / len(x)


def method(s: DictionaryWeights, data: Harvest) -> Method:
    """How this arm's dictionary is trained. A frozen decoder starts with the activations' covariance: the better of its two starts."""
    from assay.dictionaries.selection import TopK
    from assay.dictionaries.training import losses
    from assay.dictionaries.training.freezing import freeze
    from assay.dictionaries.training.train import Method

    plain = Method(TopK(s.k), losses.mse, s.width, lr=np.array([s.lr]), penalty=np.zeros(1), betas=(0.9, 0.999), encoder_scale=1.0,
                   products=s.products)  # fmt: skip
    return freeze(plain, s.frozen, covariance(data) if s.frozen == "decoder" else None)


def train_together(groups: Sequence[Runs[DictionaryWeights]], bench: Bench) -> list[Trained]:
    """Dictionaries of one seed in one pass over the same batches; a seed has a model of its own, so it is a group of its own."""
    from assay.dictionaries.training.train import fit_dictionaries

    specs = [runs.specs[0] for runs in groups]
    s, seeds = specs[0], groups[0].seeds
    data, _ = activations(s, bench)
    plain = data.batches(seeds, s.batch)
    batches = plain if s.acts == "model" else lambda step: shuffled(plain(step), int(seeds[0]), step)
    return fit_dictionaries(
        [(runs, method(one, data)) for runs, one in zip(groups, specs, strict=True)], batches, d=data.d, steps=s.steps, bench=bench,
        mean=data.mean, scale=data.scale, sites=(data.spec.site,), probe_at=probes(s.steps, 20), trained_on=data.trained_on,
    )  # fmt: skip


def train(runs: Runs[DictionaryWeights], bench: Bench) -> Trained:
    return train_together([runs], bench)[0]


def untrained(runs: Runs[DictionaryWeights], bench: Bench) -> Trained:
    """Dictionaries that nothing trains: as training starts, or every neuron a feature."""
    import torch

    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.nonlinearity import ReLU
    from assay.dictionaries.training.train import fit_dictionaries

    (s,) = runs.specs
    data, _ = activations(s, bench)
    if s.matrix == "start":
        return fit_dictionaries([(runs, method(s, data))], lambda step: data.rows(data.kept[:1]), d=data.d, steps=0, bench=bench,
                                mean=data.mean, scale=data.scale, sites=(data.spec.site,))[0]  # fmt: skip
    eye, zero = torch.eye(data.d)[None], torch.zeros(1, data.d)
    one = Dictionary(eye, zero, eye, zero, ReLU(), mean=torch.from_numpy(data.mean)[None], scale=torch.tensor([data.scale]))
    return replace(one, sites=(data.spec.site,)).to_trained()


def other_rows(runs: Runs[DictionaryWeights], bench: Bench, before: Trained) -> Trained:
    """Main's dictionary with other decoder rows in the place of its own, the encoder as it is: features are used as much as they were."""
    import torch

    from assay.dictionaries.dictionary import Dictionary

    (s,) = runs.specs
    W, seeds = before.tensors["W_dec"], np.array([s.seed])
    f, m = W.shape[1:]
    name = f"dictionary-weights.{s.matrix}"
    if s.matrix == "rotated":
        turn, _ = torch.linalg.qr(torch.from_numpy(normal(seeds, name, s.replicate, (m, m))).double())
        rows = (W.double() @ turn).float()
    elif s.matrix == "permuted":
        rows = torch.from_numpy(permuted_rows(W.numpy(), s.seed, name))
    elif s.matrix == "random":
        rows = torch.from_numpy(normal(seeds, name, s.replicate, (f, m)))
    else:
        used = live(Dictionary.of(before), activations(s, bench)[1])
        rows = torch.from_numpy(planted_rows(s.seed, f, m, np.flatnonzero(used))[None])
    return before.with_tensors({**before.tensors, "W_dec": torch.nn.functional.normalize(rows, dim=-1)})


def permuted_rows(W: Float[np.ndarray, "*run f m"], seed: int, name: str) -> Float[np.ndarray, "*run f m"]:
    """Permute the entries of each row by itself: rows stay as sparse as they are, columns have no structure but what follows from that."""
    return generator(seed, name).permuted(W, axis=-1)


def live(one: Dictionary, test: Harvest) -> Bool[np.ndarray, "f"]:
    """Which features fire often enough on the test part to be counted."""
    return ((one.normalised.encode(test.rows(test.kept))[0] > 0).sum(0) >= LIVE).numpy()


def planted_rows(seed: int, f: int, m: int, owners: Int[np.ndarray, "owner"]) -> Float[np.ndarray, "f m"]:
    """A matrix whose columns have structure: most neurons belong to one feature each, of the owners, the others are shared by all.

    A private neuron's weight is the length of the rest of its feature's row, shared ones are normal numbers; rows have length 1.
    """
    g = generator(seed, "dictionary-weights.planted")
    own = min(round(PRIVATE * m), len(owners))
    neurons, features = g.permutation(m), g.permutation(owners)[:own]
    W = np.zeros((f, m))
    W[:, neurons[own:]] = g.standard_normal((f, m - own))
    W[features, neurons[:own]] = np.linalg.norm(W[features], axis=1)
    return (W / np.linalg.norm(W, axis=1, keepdims=True)).astype(np.float32)


def measure(runs: Runs[DictionaryWeights], trained: Trained, bench: Bench) -> xr.Dataset:
    from assay.dictionaries.dictionary import Dictionary
    from assay.dictionaries.measuring import frontier

    (s,) = runs.specs
    _, test = activations(s, bench)
    change = (lambda x: shuffled(x, s.seed, -1)) if s.acts == "shuffled" else (lambda x: x)
    one = Dictionary.of(trained)
    named, coords = matrix_measures(one, change(test.rows(test.kept)), s.seed), {"rank": CURVE.tolist()}
    if s.matrix == "learned":
        sums, documents = frontier.document_measures(one, test, change)
        named |= {name: sums[name] for name in frontier.FRONTIER}
        coords |= documents
    if trained.history:
        coords["step"] = trained.steps.tolist()
        named["loss"] = ("run step", trained.history["loss"], "1")
    return measures(runs, coords=coords, **named)


def matrix_measures(one: Dictionary, x: Float[Tensor, "b m"], seed: int) -> dict[str, tuple[str, Any, str]]:
    """Concentration of the decoder matrix by feature and by neuron, of live features; dead ones are NaN, and in no column."""
    features = one.normalised.encode(x)[0]
    live = ((features > 0).sum(0) >= LIVE).numpy()
    W, use, spread = (t.double().numpy() for t in (one.W_dec[0], features.square().mean(0), x.std(0)))
    W, use = W[live], use[live]
    rows = W / np.linalg.norm(W, axis=1, keepdims=True)
    scaled = rows / spread
    mixed = permuted_rows(rows, seed, "dictionary-weights.columns")
    parts = use[:, None] * W**2  # what each feature puts into each neuron
    mixed_parts = use[:, None] * permuted_rows(W, seed, "dictionary-weights.columns") ** 2

    def of_features(values: np.ndarray) -> np.ndarray:
        out = np.full((1, len(live)), np.nan)
        out[0, live] = values
        return out

    by_feature = {
        "row_k90": (of.fewest(rows**2), "neurons"), "row_kurtosis": (of.excess_kurtosis(rows), "1"),
        "row_gini": (of.gini(np.abs(rows)), "Gini coefficient"), "row_participation": (of.participation(rows), "neurons"),
        "row_large": (of.large(rows), "neurons"), "row_kurtosis_scaled": (of.excess_kurtosis(scaled), "1"),
    }  # fmt: skip
    by_neuron = {
        "column_gini": (of.gini(np.abs(rows).T), "Gini coefficient"), "column_gini_permuted": (of.gini(np.abs(mixed).T), "Gini coefficient"),
        "column_kurtosis": (of.excess_kurtosis(rows.T), "1"), "column_k90": (of.fewest(rows.T**2), "features"),
        "use_k90": (of.fewest(parts.T), "features"), "use_k90_permuted": (of.fewest(mixed_parts.T), "features"),
        "use_gini": (of.gini(parts.T), "Gini coefficient"), "use_gini_permuted": (of.gini(mixed_parts.T), "Gini coefficient"),
    }  # fmt: skip
    named: dict[str, tuple[str, Any, str]] = {name: ("run feature", of_features(v), unit) for name, (v, unit) in by_feature.items()}
    named |= {name: ("run neuron", v[None], unit) for name, (v, unit) in by_neuron.items()}
    named["row_curve"] = ("run rank", curve(rows)[None], "share of the row's length")
    named["column_curve"] = ("run rank", curve(rows.T)[None], "share of the column's length")
    return named | {"live": ("run", np.array([live.sum()]), "features")}


def curve(vectors: Float[np.ndarray, "v n"]) -> Float[np.ndarray, "rank"]:
    """Mean share of a vector's squared length in its largest entries, at shares of their number."""
    parts = -np.sort(-(vectors**2), axis=1)
    with np.errstate(all="ignore"):
        held = np.concatenate([np.zeros((len(parts), 1)), np.cumsum(parts, 1) / parts.sum(1, keepdims=True)], 1)
    return np.nanmean([np.interp(CURVE, np.linspace(0, 1, held.shape[1]), h) for h in held], axis=0)


def inputs(spec: DictionaryWeights) -> dict[str, str]:
    """The corpus; the models follow from it and the spec."""
    return {"corpus": corpora.load(spec.corpus).fingerprint}


def cost(runs: Runs[DictionaryWeights]) -> Cost:
    """The disk that harvests take; seconds come from the record."""
    s = runs.shared
    return Cost(bytes=s.windows * s.context * (2 * s.m + 4))


TOGETHER = Joint(lambda groups, bench: train_together(groups, bench))
"""Arms on the same activations, trained as long, share a pass over the same batches."""
