"""The method of features-per-dimension: what one run is, how it is trained and what is measured of
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from assay.core import Spec, descent, fit
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.data import planted
from assay.train import rng
from assay_catalogue.worlds.bottleneck.capacity import dimensionality
from assay_catalogue.worlds.networks import two_layer
from assay_catalogue.worlds.networks.two_layer import Clouds

GROUP = 8
"""Starts in a group: the one with the lowest held-out loss at a density is the group's model
there."""
SCALES = (0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 4.0)
"""Factors by which weights are multiplied; those that are no power of two also change the last
digits."""
DRAWN = tuple(float(c) for c in np.geomspace(0.5, 2, 33))
"""Factors at which losses are drawn."""
TENFOLD = 10.0
"""The largest factor of a random rescaling; its inverse is the least."""


@dataclass(frozen=True, kw_only=True)
class FeaturesPerDimension(Spec):
    densities: tuple[Annotated[float, Gt(0), Le(1)], ...] = tuple(
        round(float(p), 4) for p in 50.0 ** np.linspace(-1, 0, 8)
    )
    """Probabilities that a feature is active in one input, ascending: one tied autoencoder for
    each."""
    ratio: Annotated[float, Gt(0)] = 0.9
    """Importance of each feature over that of the one before it; the first has 1."""
    features: Annotated[int, Ge(1), Le(6), "as expected losses are enumerated"] = 5
    """Number of input features; at most 6, as their expected losses are enumerated."""
    width: Annotated[int, Ge(1)] = 2
    """Dimensions of the bottleneck."""
    steps: Annotated[int, Ge(0)] = 3_000
    """Training steps of the autoencoders."""
    batch: Annotated[int, Ge(1)] = 256
    """Inputs a step, drawn fresh."""
    lr: Annotated[float, Gt(0)] = 5e-3
    """Adam's learning rate for the autoencoders."""
    net: Literal["tied", "relu", "bias", "tanh"] = "tied"
    """Tied autoencoders; or classifiers with weights of their own in each layer: ReLU, ReLU and
    biases, tanh."""
    rescale: bool = False
    """Whether trained weights are multiplied by a random number, for each run and density its
    own."""
    hidden: Annotated[int, Ge(1)] = 64
    """Neurons of a classifier."""
    inputs: Annotated[int, Ge(1)] = 20
    """Dimensions of a classifier's inputs."""
    apart: Annotated[float, Gt(0)] = 4.0
    """Distance of two class centres, in standard deviations of the noise."""
    net_steps: Annotated[int, Ge(0)] = 500
    """Training steps of the classifiers, 64 inputs each, Adam at 3e-3."""

    def check(self) -> None:
        name = type(self).__name__
        if self.width > self.features:
            raise SpecError(
                f"{name}.width is the rank, at most the {self.features} features, got {self.width}"
            )
        if len(self.densities) < 3 or list(self.densities) != sorted(set(self.densities)):
            raise SpecError(
                f"{name}.densities are at least three and ascend, each once, got {self.densities}"
            )

    @property
    def networks(self) -> str:
        """What is trained, in words."""
        if self.net != "tied":
            return f"classifiers of ten Gaussian clouds, {self.hidden} neurons"
        toys = f"{self.features} independent features of importance {self.ratio:g}^i"
        return f"{toys} in {self.width} dimensions, best of {GROUP} starts"


def train_tied(runs: Runs[FeaturesPerDimension], bench: Bench) -> Trained:
    """W [run density f d] and b [run density f] of one autoencoder for each density, all of a run
    from one start."""
    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    batches = planted.sparse_features(toy.models(runs.seeds, s.densities), s.features, s.batch)
    return toy.train_densities(
        runs, s.width, importance(runs), s.densities, batches, lr=s.lr, steps=s.steps, bench=bench
    )


def importance(runs: Runs[FeaturesPerDimension]) -> Float[torch.Tensor, "run f"]:
    """[run, f]: importance of every feature."""
    from assay_catalogue.worlds.bottleneck import toy

    return toy.importances(runs.seeds, runs.shared.features, runs.shared.ratio)


def train_classifier(runs: Runs[FeaturesPerDimension], bench: Bench) -> Trained:
    """A classifier of two layers for each run, on Gaussian clouds of its own."""
    s = runs.shared
    clouds = world(s)
    params = two_layer.start(runs, s.inputs, s.hidden, clouds.classes, bias=s.net == "bias")

    def loss(p: dict[str, torch.Tensor], batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return two_layer.cross_entropy(
            two_layer.logits(p, batch[0], tanh=s.net == "tanh"), batch[1]
        )

    group = descent(runs, params, loss, lr=np.full(len(runs), 3e-3))
    return fit([group], clouds.batches(runs.seeds, 64), steps=s.net_steps, bench=bench)[0]


def world(s: FeaturesPerDimension) -> Clouds:
    """The law of the classifiers' inputs."""
    return Clouds(d=s.inputs, apart=s.apart)


def rescale(runs: Runs[FeaturesPerDimension], bench: Bench, before: Trained) -> Trained:
    """Multiply W by a number, log-uniform from a tenth to ten, drawn for every run and density;
    biases stay as they are."""

    uniforms = rng.uniform(
        runs.seeds, "features-per-dimension.rescale", 0, (len(runs.shared.densities),)
    )
    factor = torch.from_numpy(TENFOLD ** (2 * uniforms.astype(np.float64) - 1))[..., None, None]
    W = before.tensors["W"]
    tensors = {"W": W * factor.to(W), "b": before.tensors["b"], "factor": factor.to(W)}
    return before.with_tensors(tensors)


def measure(runs: Runs[FeaturesPerDimension], trained: Trained, bench: Bench) -> xr.Dataset:
    """`fpd` of W times each scale, and how little dimensionalities move with it, for every kind;
    then each kind's own."""

    from assay_catalogue.worlds.bottleneck.rescaling import (
        features_by_dimensionality,
        features_per_dimension,
    )

    s, tied = runs.shared, runs.shared.net == "tied"
    W = (
        trained.tensors["W"].double() if tied else trained.tensors["W1"].double().transpose(1, 2)
    )  # [.., f, d]
    D = dimensionality(W)
    fpd = torch.stack([features_per_dimension(c * W) for c in SCALES], -1)
    moved = torch.stack([(dimensionality(c * W) - D).abs().amax(-1) for c in SCALES], -1)
    axes, coords = ("run density", {"density": s.densities}) if tied else ("run", {})
    variables = {
        "fpd": (f"{axes} scale", fpd, "features per dimension"),
        "moved": (f"{axes} scale", moved, "dimensions"),
        "fine": (axes, features_by_dimensionality(D, W.shape[-1]), "features per dimension"),
    }
    more = (autoencoder if tied else classifier)(runs, trained.tensors, bench)
    return measures(
        runs,
        coords=coords | {"scale": SCALES} | ({"factor": DRAWN} if tied else {}),
        **variables,
        **more,
    )


def autoencoder(
    runs: Runs[FeaturesPerDimension], params: Mapping[str, torch.Tensor], bench: Bench
) -> dict[str, tuple[str, Any, str]]:
    """Expected losses of c W, biases as they are; the held-out loss, before any random
    rescaling."""

    from assay_catalogue.worlds.bottleneck import toy
    from assay_catalogue.worlds.bottleneck.rescaling import tied_losses

    s, weight = runs.shared, importance(runs).to(bench.device)
    W, b = (params[name].double().flatten(0, 1) for name in "Wb")
    density = torch.tensor(s.densities, dtype=torch.float64, device=bench.device).repeat(len(runs))
    importances = weight.double().repeat_interleave(len(s.densities), 0)

    def compute_losses(scales: Sequence[float]) -> np.ndarray:
        return (
            tied_losses(W, b, importances, density, scales, 0)
            .unflatten(0, (len(runs), -1))
            .cpu()
            .numpy()
        )

    x = planted.sparse_features(
        toy.models(runs.seeds // GROUP, s.densities), s.features, 20_000, stream="test"
    )(0)
    held_out = toy.density_losses(
        {"W": params["W"] / params.get("factor", 1), "b": params["b"]}, x.to(bench.device), weight
    )
    return {
        "loss": ("run density scale", compute_losses(SCALES), "squared input"),
        "drawn": ("run density factor", compute_losses(DRAWN), "squared input"),
        "held_out": ("run density", held_out, "squared input"),
    }


def classifier(
    runs: Runs[FeaturesPerDimension], params: Mapping[str, torch.Tensor], bench: Bench
) -> dict[str, tuple[str, Any, str]]:
    """What rescaling does to outputs, classes and cross-entropy on 2,000 fresh inputs; accuracy,
    and the best there is."""
    s = runs.shared
    x, label = (t.to(bench.device) for t in world(s).batches(runs.seeds, 2_000, stream="test")(0))
    classes = two_layer.logits(params, x, tanh=s.net == "tanh").argmax(-1)
    effects = two_layer.effects(params, x, label, SCALES, tanh=s.net == "tanh")
    units = {"loss": "nats", "loss_alone": "nats", "reclassified": "share of inputs"}
    return {
        name: ("run scale", value, units.get(name, "share of the largest output"))
        for name, value in effects.items()
    } | {
        "accuracy": ("run", (classes == label).float().mean(1), "share"),
        "attainable": ("run", (world(s).nearest(runs.seeds, x) == label).float().mean(1), "share"),
    }
