"""Assay's adapter, first part: metrics and codes; its other parts are the files
`…_of_assay`.

Squared errors are summed over dimensions here and divided by d in `losses`, the sum of features by
√d: the factors are undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import circuits_of_assay
import numpy as np
import objectives_of_assay
import protocol
import statistics_of_assay
import torch
import training_of_assay
from objectives_of_assay import Nested, Weights, dictionary, rows
from torch import Tensor

from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import metrics
from assay.dictionaries.measuring.ablation import Passage
from assay.dictionaries.measuring.measures import EXPLAINED, SQUARED_ERROR
from assay.dictionaries.nonlinearity import ReLU
from assay.dictionaries.training import losses
from assay.evaluation import measure
from assay.evaluation.summary import about_the_mean
from assay.features import statistics
from assay.subjects.site import Site
from assay_catalogue.dictionaries.splicing import reference_losses, spliced_loss
from assay_catalogue.features import card


def measured(x: Nested, x_hat: Nested, dtype: str = "float64") -> dict[str, Any]:
    """ev and mse of a pair."""
    a, b = rows(x, dtype), rows(x_hat, dtype)
    return {"ev": 1 - metrics.fvu(a, b), "mse": losses.squared_error(a, b) * a.shape[1]}


def streamed(batches: Nested, dtype: str = "float64") -> dict[str, Any]:
    """ev and mse as `assay evaluate` sums them, batch by batch; the dictionary is a table of given
    reconstructions."""
    total: measure.Sums = {}
    for part in batches:
        x, x_hat = rows(part["x"], dtype), rows(part["x_hat"], dtype)
        centre = rows(batches[0]["x"], dtype).mean(0)
        table = _Table.of_rows(x_hat)
        document = torch.zeros(len(x), dtype=torch.long)
        measure.add(
            total,
            measure.of_activations(x, document, 1, centre)
            | measure.of_dictionary(table, x, x, document, 1, centre)[0],
        )
    sums = about_the_mean(measure.arrays(total))
    statistics = {name: value.sum(0) for name, value in sums.items()}
    return {"ev": EXPLAINED.statistic(statistics), "mse": SQUARED_ERROR.statistic(statistics)}


class _Table(Dictionary):
    """A dictionary whose reconstructions are given, row by row: `origin` holds them, and how many
    were handed out."""

    @classmethod
    def of_rows(cls, x_hat: Tensor) -> _Table:
        """The table of these rows; its weights are zeros that nobody uses."""
        d = x_hat.shape[1]
        origin = {"rows": x_hat, "next": [0]}
        shapes = {"W_enc": (1, d, 1), "b_enc": (1, 1), "W_dec": (1, 1, d), "b_dec": (1, d)}
        zeros: dict[str, Any] = {name: torch.zeros(shape) for name, shape in shapes.items()}
        return cls(**zeros, nonlinearity=ReLU(), origin=origin)

    def decode(self, features: Tensor, x: Tensor | None = None) -> Tensor:
        """The next rows of the table."""
        start = self.origin["next"][0]
        self.origin["next"][0] += len(features)
        return self.origin["rows"][start : self.origin["next"][0]]


def sparsity(features: Nested) -> dict[str, Any]:
    """l0, density of each latent, share of dead ones."""
    f = rows(features)
    return {"l0": metrics.l0(f), "density": metrics.density(f), "dead": metrics.dead(f)}


def quality(architecture: str, weights: Weights, centred: bool, x: Nested) -> dict[str, Any]:
    """ev and l0 of a dictionary on rows."""
    d, a = dictionary(architecture, weights, centred), rows(x)
    measures = metrics.finish(
        metrics.document_sums(_single(d), a.float(), np.zeros(len(a), int), 1, a.double().mean(0))
    )
    return {"ev": 1 - measures["fvu"][0], "l0": measures["l0"][0]}


def _single(d: Dictionary) -> Dictionary:
    return Dictionary.from_tensors(
        {name: value.float() for name, value in d.tensors().items()}, d.header()
    )


def shrinkage(x: Nested, x_hat: Nested, mean: Nested | None = None) -> dict[str, Any]:
    """γ, about the mean where one is given."""
    return {"gamma": metrics.shrinkage(rows(x), rows(x_hat), 0.0 if mean is None else rows(mean))}


def ce_recovered(clean: Nested, spliced: Nested, ablated: Nested) -> dict[str, Any]:
    """Loss recovered, from sums over batches of equally many positions."""
    return {"score": metrics.ce_recovered(sum(clean), sum(spliced), sum(ablated))}


def ce_splice(activations: Nested, special: Sequence[bool], factor: float) -> dict[str, Any]:
    """Loss recovered against zero ablation in the toy model, by the same splicing as for a language
    model."""

    class Toy:
        def losses(self, tokens: Tensor, start: tuple[int, Tensor]) -> Tensor:
            return 20 - start[1].sum(-1).cumsum(-1)

    acts, toy, site = rows(activations)[None], Toy(), Site.parse("blocks.0.hook_resid_pre")
    passage = Passage(
        torch.zeros(1, len(activations), dtype=torch.long), acts, ~torch.tensor([special])
    )
    losses_of = reference_losses(toy, site, passage, acts.mean((0, 1)))  # type: ignore[arg-type]
    spliced = spliced_loss(toy, site, passage, factor * acts)  # type: ignore[arg-type]
    return {
        "score": metrics.ce_recovered(
            losses_of["clean"].mean(), spliced.mean(), losses_of["zero"].mean()
        )
    }


def encode(architecture: str, weights: Weights, centred: bool, x: Nested) -> dict[str, Any]:
    """Features and reconstruction."""
    d, a = dictionary(architecture, weights, centred), rows(x)
    return {"features": d.encode(a), "x_hat": d.reconstruct(a)}


def features_two_ways(
    architecture: str, weights: Weights, centred: bool, x: Nested
) -> dict[str, Any]:
    """Features by `encode`, and by `active`, which is what a reader of sparse codes gets."""
    d, a = dictionary(architecture, weights, centred), rows(x)
    dense, sparse = d.encode(a), d.active(a)
    return {
        "encode": dense,
        "forward": torch.zeros_like(dense).index_put((sparse.row, sparse.feature), sparse.value),
    }


def encode_subset(
    architecture: str, weights: Weights, centred: bool, x: Nested, latents: Sequence[int]
) -> dict[str, Any]:
    """Features of some latents: those columns of all, the only way there is."""
    return {"features": dictionary(architecture, weights, centred).encode(rows(x))[:, latents]}


def fired(architecture: str, weights: Weights, centred: bool, x: Nested) -> dict[str, Any]:
    """The latents that `active` lists."""
    return {
        "latents": sorted(
            set(dictionary(architecture, weights, centred).active(rows(x)).feature.tolist())
        )
    }


def layer_norm(weights: Weights, x: Nested) -> dict[str, Any]:
    """Reconstruction with each row normalised by itself."""
    return {"x_hat": dictionary("relu", weights, per_token="layer-norm-exact").reconstruct(rows(x))}


def fold_scale(
    architecture: str, weights: Weights, centred: bool, scale: float, x: Nested
) -> dict[str, Any]:
    """What a dictionary that carries its scale makes of raw rows."""
    d, a = dictionary(architecture, weights, centred, scale), rows(x)
    return {"active": d.encode(a) > 0, "x_hat": d.reconstruct(a)}


def example_groups(activations: Nested, groups: int) -> dict[str, Any]:
    """Tokens that a card may show: the strongest, and those drawn from quarters (always four) of
    the distribution."""
    value, row = np.asarray(activations, float), np.arange(len(activations))
    feature = np.zeros_like(row)
    top = card.keep(card.nothing(1), feature, row, value, value, 20)
    sample = card.keep(
        card.nothing(1), feature, row, value, card.sampling_priority(feature, row, 0), 64
    )
    picked = [sample.value[q] for q in card.quarters(sample.value, 3)]
    values = np.concatenate([top.value, *picked])
    return {"inactive": int((values == 0).sum()), "active": len(set(values[values > 0].tolist()))}


def density(firings: int, tokens: int) -> dict[str, Any]:
    """Density of a latent from a stream of its firings."""
    sums = statistics.start(1)
    statistics.update(sums, np.zeros(firings, int), np.ones(firings), tokens)
    return {"density": statistics.density(sums)[0]}


OPERATIONS: protocol.Operations = {
    "metrics": measured,
    "metrics_stream": streamed,
    "sparsity": sparsity,
    "quality": quality,
    "shrinkage": shrinkage,
    "ce_recovered": ce_recovered,
    "ce_splice": ce_splice,
    "encode": encode,
    "features_two_ways": features_two_ways,
    "encode_subset": encode_subset,
    "fired": fired,
    "layer_norm": layer_norm,
    "fold_scale": fold_scale,
    "example_groups": example_groups,
    "density": density,
    **objectives_of_assay.OPERATIONS,
    **training_of_assay.OPERATIONS,
    **circuits_of_assay.OPERATIONS,
    **statistics_of_assay.OPERATIONS,
}

if __name__ == "__main__":
    protocol.serve("Assay", "interp-assay", OPERATIONS)
