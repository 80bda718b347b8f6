"""The method of sgd-noise: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from assay.core import PerRun, Spec
from assay.core.errors import SpecError
from assay.core.measures import measures

if TYPE_CHECKING:
    import xarray as xr
    from jaxtyping import Float, Int
    from torch import Tensor

    from assay.core.bench import Bench
    from assay.core.fit import Trained
    from assay.core.runs import Runs

PARTS = 20
"""Parts of a run, each drawn at once."""
SNAPSHOTS = (0.0, 0.1, 0.3, 1.0)
"""Shares of a network's training at which its noise is measured."""


@dataclass(frozen=True, kw_only=True)
class StepNoise(Spec):
    task: Literal["walk", "network"] = "walk"
    """Steps on a slope, or gradients of trained networks at frozen weights."""
    law: Literal["sgd", "epochs", "skewed", "adam", "iso", "diag", "full", "hard", "linear", "es", "even"] = "sgd"
    """How steps, or noise, are made."""
    a: PerRun[float] = 2.0
    """Each example's gradient along the first coordinate, per g."""
    c: PerRun[float] = -3.0
    """And along the second."""
    held: PerRun[int] = 1
    """K: mutations for which one minibatch decides what is fit."""
    evaluations: PerRun[int] = 1
    """P: random directions that an evolution strategy evaluates on one minibatch."""
    spread: float = 1.0
    """Standard deviation of g over examples; at 0 the true gradient is seen."""
    drift: float = 1.0
    """The true gradient, along the third coordinate."""
    batch: int = 8
    """Examples in a minibatch."""
    examples: int = 1_000
    """Examples there are, where they are finite."""
    coordinates: int = 16
    """Dimensions of the slope."""
    steps: int = 20_000
    """Steps of a run."""
    lr: float = 1e-2
    """Learning rate."""
    mutation: float = 0.05
    """s: standard deviation of a mutation in each coordinate."""
    sharpness: float = 1.0
    """β: how fast the probability of acceptance grows with fitness."""
    hidden: int = 0
    """ReLU units in the networks' middle; 0 is softmax regression."""
    zipf: float = 1.0
    """Exponent of the networks' class frequencies: 0 is balanced, 1 as words are."""
    classes: int = 64
    """Classes of the networks' problem."""
    features: int = 32
    """Inputs of the networks."""
    minibatches: int = 2_000
    """Minibatches drawn at frozen weights."""
    subset: int = 256
    """Parameters, drawn at random, whose noise is looked at."""

    def check(self) -> None:
        least = {"held": 1, "evaluations": 1, "batch": 1, "examples": 2, "coordinates": 3, "hidden": 0, "classes": 2, "features": 1,
                 "minibatches": 2, "subset": 2}  # fmt: skip
        for name, low in least.items():
            if getattr(self, name) < low:
                raise SpecError(f"StepNoise.{name} must be at least {low}, got {getattr(self, name)}")
        if self.batch > self.examples:
            raise SpecError(f"StepNoise.batch must be at most the {self.examples} examples that there are, got {self.batch}")
        if self.steps < PARTS or self.steps % PARTS:
            raise SpecError(f"StepNoise.steps must be a multiple of {PARTS}, as a run is drawn in so many parts, got {self.steps}")
        for name in ("lr", "mutation", "sharpness"):
            if getattr(self, name) <= 0:
                raise SpecError(f"StepNoise.{name} must be positive, got {getattr(self, name)}")
        if 0 in (self.a, self.c) or self.spread < 0 or self.zipf < 0:
            raise SpecError("StepNoise needs a and c other than 0, and spread and zipf of at least 0")
        weights = self.hidden * (self.features + self.classes) if self.hidden else self.features * self.classes
        if self.subset > weights:
            raise SpecError(f"StepNoise.subset must be at most the {weights} weights of the network, got {self.subset}")
        if self.law == "linear":
            self.check_selection()

    def check_selection(self) -> None:
        from assay.worlds.steps import noise as step_noise

        sampled = step_noise.lock_step(self.a, self.c, self.spread) / self.batch
        beyond = step_noise.clipped(np.array([0, 0, self.drift]), sampled, self.mutation, self.sharpness)
        if beyond > 1e-3:
            raise SpecError(f"StepNoise.sharpness × mutation is too large to stay linear: {beyond:.2%} of all probabilities of acceptance "
                            f"would be clipped, at most 0.1 % may; got {self.sharpness:g} × {self.mutation:g}")  # fmt: skip


def train(runs: Runs[StepNoise], bench: Bench) -> Trained:
    return {"walk": walk, "network": network}[runs.shared.task](runs, bench)


def measure(runs: Runs[StepNoise], trained: Trained, bench: Bench) -> xr.Dataset:
    return {"walk": steps_taken, "network": noise}[runs.shared.task](runs, trained, bench)


def slope_and_law(runs):
    from assay.worlds.steps.laws import Law
    from assay.worlds.steps.optimisers import Slope

    s = runs.shared
    name = f"{s.law}.{s.spread:g}.{s.coordinates}"
    slope = Slope(name, runs.seeds, runs.each("a"), runs.each("c"), s.spread, s.drift, s.batch, s.coordinates, s.steps // PARTS)
    return slope, Law(s.law, s.lr, s.examples, s.mutation, s.sharpness, runs.each("held"), runs.each("evaluations"))


def walk(runs: Runs[StepNoise], bench: Bench) -> Trained:
    from assay.core import fit
    from assay.worlds.steps import laws as step_laws
    from assay.worlds.steps import optimisers

    slope, law = slope_and_law(runs)
    group = optimisers.walk(runs, slope, PARTS, lr=law.scale, adam=law.name == "adam")
    return fit([group], step_laws.source(slope, law), steps=PARTS, bench=bench)[0]


def steps_taken(runs: Runs[StepNoise], trained: Trained, bench: Bench) -> xr.Dataset:
    from assay.worlds.steps import laws as step_laws
    from assay.worlds.steps import optimisers

    s, (slope, law) = runs.shared, slope_and_law(runs)
    found, (mean, covariance) = optimisers.moments(trained.tensors, slope, s.steps), step_laws.expected(slope, law)
    pair, wanted = (np.stack([x[:, 0, 0], x[:, 0, 1], x[:, 1, 1]], 1) for x in (found["covariance"], covariance))
    named: dict = {
        "correlation": ("run", pair[:, 1] / np.sqrt(pair[:, 0] * pair[:, 2]), "1"),
        "pair": ("run entry", pair, "squared step"),
        "pair_expected": ("run entry", wanted, "squared step"),
        "along": ("run moment", np.stack([found["mean"][:, 2], found["covariance"][:, 2, 2]], 1), "step, squared step"),
        "along_expected": ("run moment", np.stack([mean[:, 2], covariance[:, 2, 2]], 1), "step, squared step"),
        "skewness": ("run", found["skewness"], "1"),
        "skewness_expected": ("run", np.full(len(runs), 2 / s.batch**0.5 if s.law == "skewed" else 0.0), "1"),
    }
    if s.coordinates > 3:  # the ones that are drawn
        tau = s.lr * np.sqrt((slope.a**2 + slope.c**2) / (2 * s.batch))  # of isotropic noise at a spread of 1
        u = found["path"] / tau[:, None]
        named["diffusion"] = ("run", np.square(np.diff(u, axis=1)).mean(1) / slope.times, "τ² a step")
        named["some"] = ("run kept axis", trained.tensors["some"], "step")
    return measures(runs, **named)


def labelled_examples(runs: Runs[StepNoise]) -> tuple[Float[Tensor, "run b f"], Int[Tensor, "run b"]]:
    """Inputs [run b f] and classes [run b] of every network."""
    from assay.worlds.networks import teacher

    s = runs.shared
    return teacher.labelled(runs.seeds, s.examples, s.features, s.classes, sharpness=2.0, zipf=s.zipf)


def network(runs: Runs[StepNoise], bench: Bench) -> Trained:
    """Weights [run snapshot in out] along a training by minibatches."""
    from assay.core import descent, fit
    from assay.core.fit import watched
    from assay.worlds.networks import example_gradients as eg

    s = runs.shared
    params = eg.classifier(runs, (s.features, *([s.hidden] if s.hidden else []), s.classes))
    names = tuple(params)
    group = descent(runs, params, eg.losses, lr=np.full(len(runs), s.lr), plain=True)
    group = watched(group, names, [round(share * s.steps) for share in SNAPSHOTS])
    x, y = labelled_examples(runs)
    done = fit([group], eg.draws(runs.seeds, x, y, s.batch), steps=s.steps, bench=bench)[0]
    return replace(done, tensors={name: done.tensors[f"{name}/at"] for name in names})


def same_networks(runs: Runs[StepNoise], bench: Bench, before: Trained) -> Trained:
    """Keep the networks as they are; only their noise is drawn anew."""
    return before


def noise(runs: Runs[StepNoise], trained: Trained, bench: Bench) -> xr.Dataset:
    import torch

    from assay.worlds.networks import example_gradients as eg
    from assay.worlds.steps.noise import participation

    s, (x, y) = runs.shared, (part.to(bench.device) for part in labelled_examples(runs))
    moments = [{name: w[:, k] for name, w in trained.tensors.items()} for k in range(len(SNAPSHOTS))]
    at = eg.coordinates(runs.seeds, moments[0], s.subset).to(bench.device)
    examples = [eg.of_examples(params, x, y, at) for params in moments]  # [run b coordinate] each

    def spectrum(law, stream):
        drawn = [eg.noise_spectra(g, runs.seeds, k, law, s.batch, s.minibatches, stream) for k, g in enumerate(examples)]
        return np.stack(drawn, 1)

    return measures(
        runs, coords={"snapshot": SNAPSHOTS},
        participation=("run snapshot", participation(spectrum(s.law, "noise")), "directions"),
        reference=("run snapshot", participation(spectrum("iso", "reference")), "directions"),
        loss=("run snapshot", torch.stack([eg.losses(params, (x, y)) for params in moments], 1), "nats"),
    )  # fmt: skip
