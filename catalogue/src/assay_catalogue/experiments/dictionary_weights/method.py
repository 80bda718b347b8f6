"""The method of dictionary-weights: whose matrix a run has, on which model and text, how it is
trained or made, and how dense rows and columns are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Float, Int

from assay.core import Bench, Runs, Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training.freezing import Part, freeze
from assay.train.rng import generator, normal
from assay_catalogue.dictionaries import concentration as of
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.on_text import (
    TinyModelDictionary,
    fit_on,
    independent,
    joint,
    topk,
)

if TYPE_CHECKING:
    from assay.dictionaries.training.train import Method


@dataclass(frozen=True, kw_only=True)
class DictionaryWeights(TinyModelDictionary):
    matrix: Literal["learned", "start", "identity", "rotated", "permuted", "random", "planted"] = (
        "learned"
    )
    """Learned; as training starts; every neuron a feature; or main's dictionary with other decoder
    rows."""
    private: Annotated[float, Ge(0), Le(1)] = 0.6
    """Share of neurons that belong to one feature each, in the planted matrix."""
    frozen: Part = ""
    """The part of the dictionary that is not learned."""
    acts: Literal["model", "shuffled"] = "model"
    """Activations of the model; the same with every neuron's values at other tokens, so that
    neurons are independent."""
    activation: Literal["gelu", "relu"] = "gelu"
    """Their non-linearity."""
    m: Annotated[int, Ge(2)] = 256
    width: Annotated[int, Ge(1)] = 512
    windows: Annotated[int, Ge(0)] = 1200
    per_file: Annotated[int, Ge(0)] = 4
    """Test windows from one file, at most."""
    context: Annotated[int, Ge(2)] = 64
    """Tokens in a window."""
    steps: Annotated[int, Ge(1)] = 600
    products: Literal["bfloat16", "float32"] = "float32"
    """Precision of matrix products in training; many CPUs are far slower in bfloat16."""
    features: Annotated[int, Ge(1)] = 12
    """Features, drawn by lot, for which rules are learned, and as many neurons."""
    texts: Annotated[int, Ge(1)] = 300
    """Training windows on which they are learned, at most."""
    replicate: int = 0
    """Another independent draw of what is random about the matrix."""


LIVE = 10
"""Test tokens on which a feature must have fired to be counted."""
CURVE = np.linspace(0, 0.25, 9)
"""Ranks at which sorted weights are kept, as shares of the number of entries: the largest quarter,
since at 1 all curves meet, and nobody could tell them apart."""
EDGES = np.geomspace(1, 1024, 21)
"""Edges of the bins in which features are counted by how many neurons they need."""


def other_rows(runs: Runs[DictionaryWeights], bench: Bench, before: Trained) -> Trained:
    """Main's dictionary with other decoder rows in the place of its own, the encoder as it is:
    features are used as much as they were."""
    (s,), before = runs.specs, before.to("cpu")
    W, seeds = before.tensors["W_dec"], np.array([s.seed])
    f, m = W.shape[1:]
    name = f"dictionary-weights.{s.matrix}"
    if s.matrix == "rotated":
        turn, _ = torch.linalg.qr(
            torch.from_numpy(normal(seeds, name, s.replicate, (m, m))).double()
        )
        rows = (W.double() @ turn).float()
    elif s.matrix == "permuted":
        rows = torch.from_numpy(permuted_rows(W.numpy(), s.seed, name))
    elif s.matrix == "random":
        rows = torch.from_numpy(normal(seeds, name, s.replicate, (f, m)))
    else:
        live = np.flatnonzero(before.tensors["firings"][0].numpy() >= LIVE)
        rows = torch.from_numpy(planted_rows(s.seed, f, m, live, s.private)[None])
    return before.with_tensors(
        {**before.tensors, "W_dec": torch.nn.functional.normalize(rows, dim=-1)}
    )


def permuted_rows(
    W: Float[np.ndarray, "*run f m"], seed: int, name: str
) -> Float[np.ndarray, "*run f m"]:
    """Permute the entries of each row by itself: rows stay as sparse as they are, columns have no
    structure but what follows from that."""
    return generator(seed, name).permuted(W, axis=-1)


def planted_rows(
    seed: int, f: int, m: int, owners: Int[np.ndarray, "owner"], private: float
) -> Float[np.ndarray, "f m"]:
    """A matrix whose columns have structure: a share of neurons is private, each belongs to one
    feature of the owners; the others are shared by all.

    A private neuron's weight is the length of the rest of its feature's row, shared ones are normal
    numbers; rows have length 1."""
    g = generator(seed, "dictionary-weights.planted")
    private_count = min(round(private * m), len(owners))
    neurons, features = g.permutation(m), g.permutation(owners)[:private_count]
    W = np.zeros((f, m))
    W[:, neurons[private_count:]] = g.standard_normal((f, m - private_count))
    W[features, neurons[:private_count]] = np.linalg.norm(W[features], axis=1)
    return (W / np.linalg.norm(W, axis=1, keepdims=True)).astype(np.float32)


def spread_rows(
    seed: int, lengths: Float[np.ndarray, "f"], covariance: Float[np.ndarray, "m m"]
) -> Float[np.ndarray, "f m"]:
    """Random rows of these lengths, normal with the covariance of activations before: what a
    matrix would be that knows how neurons vary together, and nothing else."""
    values, vectors = np.linalg.eigh(covariance)
    deviations = np.sqrt(values.clip(0))
    normals = generator(seed, "dictionary-weights.spread").standard_normal(
        (len(lengths), len(covariance))
    )
    rows = (normals * deviations) @ vectors.T
    return lengths[:, None] * rows / np.linalg.norm(rows, axis=1, keepdims=True)


def concentrations(
    W: Float[np.ndarray, "f m"],
    use: Float[np.ndarray, "f"],
    covariance: Float[np.ndarray, "m m"],
    seed: int,
) -> dict[str, Float[np.ndarray, "any"]]:
    """How dense every row (of length 1) and every column of a matrix is, and of random rows in
    their place; `use` is E f² of its features, `covariance` the neurons'."""
    lengths = np.linalg.norm(W, axis=1)
    rows = W / lengths[:, None]
    random = spread_rows(seed, lengths, covariance)
    mixed = permuted_rows(rows, seed, "dictionary-weights.columns")
    parts = use[:, None] * W**2  # what each feature puts into each neuron
    mixed_parts = use[:, None] * permuted_rows(W, seed, "dictionary-weights.columns") ** 2
    return {
        "row_k90": of.fewest(rows**2),
        "row_k90_spread": of.fewest(random**2),
        "row_kurtosis": of.excess_kurtosis(rows),
        "row_gini": of.gini(np.abs(rows)),
        "row_large": of.large(rows),
        "row_kurtosis_scaled": of.excess_kurtosis(rows / np.sqrt(np.diag(covariance))),
        "column_gini": of.gini(np.abs(rows).T),
        "column_gini_permuted": of.gini(np.abs(mixed).T),
        "use_k90": of.fewest(parts.T),
        "use_k90_spread": of.fewest((use[:, None] * random**2).T),
        "use_gini": of.gini(parts.T),
        "use_gini_permuted": of.gini(mixed_parts.T),
    }


def matrix_measures(trained: Trained, seed: int) -> dict[str, tuple[str, Any, str]]:
    """The matrix in a few numbers a run: live features alone, a dead one is in no row and in no
    column."""
    firings, use, covariance = (
        trained.tensors[name][0].double().numpy() for name in ("firings", "use", "covariance")
    )
    live = firings >= LIVE
    W = trained.tensors["W_dec"][0].double().numpy()[live]
    statistics = concentrations(W, use[live], covariance, seed)
    numbers: dict[str, tuple[float, str]] = {
        "row_k90": (geometric(statistics["row_k90"]), "neurons"),
        "row_k90_spread": (geometric(statistics["row_k90_spread"]), "neurons"),
        "row_k90_median": (median(statistics["row_k90"]), "neurons"),
        "row_over_ten": (mean(statistics["row_k90"] > 10), "share of features"),
        "row_kurtosis": (mean(statistics["row_kurtosis"]), "1"),
        "row_kurtosis_scaled": (mean(statistics["row_kurtosis_scaled"]), "1"),
        "row_large": (mean(statistics["row_large"]), "neurons"),
        "use_k90": (geometric(statistics["use_k90"]), "features"),
        "use_k90_spread": (geometric(statistics["use_k90_spread"]), "features"),
        "use_k90_median": (median(statistics["use_k90"]), "features"),
        **{
            name: (median(statistics[name]), "Gini coefficient")
            for name in statistics
            if "gini" in name
        },
        "live": (float(live.sum()), "features"),
    }
    variables: dict[str, tuple[str, Any, str]] = {
        name: ("run", np.array([value]), unit) for name, (value, unit) in numbers.items()
    }
    variables["row_curve"] = ("run rank", curve(W)[None], "share of the row's length")
    variables["column_curve"] = ("run rank", curve(W.T)[None], "share of the column's length")
    counts, _ = np.histogram(statistics["row_k90"], EDGES)
    variables["row_counts"] = ("run bin", counts[None], "features")
    return variables


def geometric(x: Float[np.ndarray, "n"]) -> float:
    """The geometric mean of positive numbers; NaN of none."""
    return float(np.exp(mean(np.log(x))))


def median(x: Float[np.ndarray, "n"]) -> float:
    """The median of those that are known; NaN of none."""
    known = x[~np.isnan(x)]
    return float(np.median(known)) if len(known) else float("nan")


def mean(x: Float[np.ndarray, "n"]) -> float:
    """The mean of those that are known; NaN of none."""
    known = x[~np.isnan(x)]
    return float(known.mean()) if len(known) else float("nan")


def curve(vectors: Float[np.ndarray, "v n"]) -> Float[np.ndarray, "rank"]:
    """Mean share of a vector's squared length in its largest entries, at shares of their number."""
    parts = -np.sort(-(vectors**2), axis=1)
    with np.errstate(all="ignore"):
        held = np.concatenate(
            [np.zeros((len(parts), 1)), np.cumsum(parts, 1) / parts.sum(1, keepdims=True)], 1
        )
    return np.nanmean([np.interp(CURVE, np.linspace(0, 1, held.shape[1]), h) for h in held], axis=0)


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
        features = dictionary.normalised.encode(part)
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
    from assay_catalogue.experiments.dictionary_weights.rules import readable

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
