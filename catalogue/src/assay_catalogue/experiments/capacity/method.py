"""The method of capacity: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Float

from assay.core import PerRun, Spec, descent, fit
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained, warm_up_decay
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.data import planted
from assay.train import rng
from assay_catalogue.analysis.starts import best_starts
from assay_catalogue.worlds.bottleneck.capacity import at_capacities, capacity, dimensionality


@dataclass(frozen=True, kw_only=True)
class Capacity(Spec):
    density: PerRun[Annotated[float, Gt(0), Le(1)]] = 0.02
    """Probability that a feature is active in one input; 1 is dense."""
    features: Annotated[int, Ge(1), Le(6), "as expected losses are enumerated"] = 5
    """Number of input features; at most 6, as their expected losses are enumerated."""
    width: Annotated[int, Ge(1)] = 2
    """Dimensions of the bottleneck."""
    ratio: Annotated[float, Gt(0), Le(1)] = 0.9
    """Importance of each feature over that of the one before it; the first has 1."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    starts: Annotated[int, Ge(1)] = 8
    """Models trained for one run, from starts and data of their own; the one with the lowest
    held-out loss is the run's."""
    steps: Annotated[int, Ge(0)] = 3_000
    """Training steps."""
    batch: Annotated[int, Ge(1)] = 256
    """Inputs a step, drawn fresh."""
    lr: Annotated[float, Gt(0)] = 5e-3
    """Adam's learning rate."""
    asked: Literal["", "scatter", "benefit", "envelope"] = ""
    """What is done with trained weights: "scatter", "benefit", "envelope"; nothing when empty."""
    short: Annotated[float, Gt(0), Lt(1)] = 0.005
    """Share of its capacity that every feature has to give up where its benefit is measured."""
    change: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Relative change of an importance where the slope along it is measured."""
    exact: Annotated[int, Ge(1)] = 2_000
    """Steps on the expected loss, where one is minimised."""

    def check(self) -> None:
        if self.width > self.features:
            raise SpecError(
                f"Capacity.width is the rank, at most the {self.features} features, got "
                f"{self.width}"
            )


def train(runs: Runs[Capacity], bench: Bench) -> Trained:
    """The best of each run's starts by held-out loss; `total` [run start] is the summed capacity of
    every start."""

    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    wide = type(runs)(
        [r.replace(seed=s.starts * r.seed + k) for r in runs.specs for k in range(s.starts)]
    )
    weight = toy.importances(wide.seeds, s.features, s.ratio).to(bench.device)

    def loss(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return toy.weighted_square(toy.reconstruct(p, x, s.relu), x, weight)

    params = toy.bottleneck(wide, s.features, s.width)
    batches = planted.sparse_features(wide, s.features, s.batch)
    all_of_them = fit(
        [descent(wide, params, loss, lr=np.full(len(wide), s.lr))],
        batches,
        steps=s.steps,
        bench=bench,
    )[0]
    with torch.no_grad():
        draw = planted.sparse_features(wide, s.features, 1_000, stream="test")
        test = (draw(i).to(bench.device) for i in range(20))
        held_out = torch.as_tensor(sum(loss(all_of_them.tensors, x) for x in test) / 20)
    all_of_them.tensors["held_out"] = held_out
    best = best_starts(all_of_them, held_out, s.starts)
    best.tensors["total"] = capacity(all_of_them.tensors["W"].double()).sum(-1).view(-1, s.starts)
    return best


def scatter(runs: Runs[Capacity], bench: Bench, before: Trained) -> Trained:
    """Keep the lengths of the features' rows and draw their directions anew."""

    W = before.tensors["W"]
    directions = torch.from_numpy(
        rng.normal(runs.seeds, "capacity.scatter", 0, tuple(W.shape[1:]))
    ).to(W)
    return before.with_tensors(
        {
            "W": directions * (W.norm(dim=-1) / directions.norm(dim=-1)).unsqueeze(-1),
            "b": before.tensors["b"],
        }
    )


def benefit(runs: Runs[Capacity], bench: Bench, before: Trained) -> Trained:
    """Least expected loss where every feature has a little less capacity than before, and what more
    would be worth to each."""

    s, world = runs.shared, World(runs, bench)
    W, b = (before.tensors[k].double() for k in "Wb")
    targets = (capacity(W) * (1 - s.short)).clamp_min(s.short / 2)
    nudge = torch.from_numpy(rng.normal(runs.seeds, "capacity.nudge", 0, tuple(W.shape[1:]))).to(W)
    params = {"W": W + 0.01 * nudge, "b": b}  # a row of zeros has no slope to leave it by
    if not s.relu:
        params |= {
            "b": (world.density[:, None] / 2).expand_as(b).clone(),
            "gain": torch.ones_like(b),
        }

    def loss(p: dict[str, torch.Tensor]) -> torch.Tensor:
        return (world.importance * world.errors(p)).mean(-1)

    group = at_capacities(runs, params, loss, targets, world.unit, inner=max(1, s.exact // 5))
    return fit([group], lambda step: None, steps=s.exact, bench=bench)[0]


def envelope(runs: Runs[Capacity], bench: Bench, before: Trained) -> Trained:
    """Least expected loss from these weights on, with every importance as it is, and each in turn a
    little more or less."""

    s, world = runs.shared, World(runs, bench)
    up = s.change * torch.eye(s.features, dtype=torch.float64, device=bench.device)
    factors = 1 + torch.cat([0 * up[:1], up, -up])  # [v f]
    importance = world.importance[:, None] * factors
    v = len(factors)

    def errors(p: dict[str, torch.Tensor]) -> torch.Tensor:
        return world.errors({k: t.flatten(0, 1) for k, t in p.items()}, v).unflatten(0, (-1, v))

    def loss(p: dict[str, torch.Tensor], batch: Any) -> torch.Tensor:
        return (importance * errors(p)).mean(-1).sum(-1) / world.unit

    params = {k: torch.stack([before.tensors[k].double()] * v, 1) for k in "Wb"}
    rate = warm_up_decay(s.exact, 0, 1.0, floor=1e-3)
    group = descent(runs, params, loss, lr=np.full(len(runs), 1e-2), schedule=rate)
    trained = fit([group], lambda step: None, steps=s.exact, bench=bench)[0]
    with torch.no_grad():
        error = errors(trained.tensors)
        least = (importance * error).mean(-1)
        slope = (least[:, 1 : 1 + s.features] - least[:, 1 + s.features :]) / (
            2 * s.change * world.importance
        )
    base = {k: trained.tensors[k][:, 0] for k in "Wb"}
    return replace(trained, tensors=base | {"slope": slope, "partial": error[:, 0] / s.features})


class World:
    """The law of the inputs, the importances and the unit of loss of these runs: what an expected
    loss needs, in float64."""

    def __init__(self, runs: Runs[Capacity], bench: Bench) -> None:

        from assay_catalogue.worlds.bottleneck import toy
        from assay_catalogue.worlds.bottleneck.sparse_law import sparse_law

        s = runs.shared
        self.relu, self.law = s.relu, sparse_law(s.features).to(bench.device)
        self.density = torch.from_numpy(runs.each("density")).to(bench.device)
        self.weights = self.law.weights(self.density)
        self.importance = toy.importances(runs.seeds, s.features, s.ratio).double().to(bench.device)
        variances = [planted.variance(p) for p in runs.each("density").tolist()]
        self.unit = torch.tensor(variances, dtype=torch.float64, device=bench.device) / s.features

    def errors(
        self, params: Mapping[str, torch.Tensor], variants: int = 1
    ) -> Float[torch.Tensor, "rv f"]:
        """E (x_i − x'_i)² of every feature, [run · variant, f], squared input; a linear model may
        have a gain on what it reads."""
        A = params["W"] @ params["W"].transpose(1, 2)
        if "gain" in params:
            A = params["gain"].unsqueeze(2) * A
        weights = self.weights if variants == 1 else self.weights.repeat_interleave(variants, 0)
        return self.law.errors(A, params["b"], weights, self.relu)


EXTRAS = {
    "held_out": ("run", "squared input"),
    "total": ("run start", "dimensions"),
    "benefit": ("run feature", "variance of a feature"),
    "wanted": ("run feature", "dimensions"),
    "missed": ("run feature", "dimensions"),
    "slope": ("run feature", "squared input"),
    "partial": ("run feature", "squared input"),
}
"""What some trainings bring along beside weights."""


def measure(runs: Runs[Capacity], trained: Trained, bench: Bench) -> xr.Dataset:

    world = World(runs, bench)
    params = {k: t.double() for k, t in trained.tensors.items() if k in ("W", "b", "gain")}
    W, capacities = params["W"], capacity(params["W"])
    gram, norm = W @ W.transpose(1, 2), W.norm(dim=-1)
    unsquared = norm.square() / gram.square().sum(-1).clamp_min(1e-300)
    cosines = 1 / (gram / (norm[:, :, None] * norm[:, None]).clamp_min(1e-300)).square().sum(
        -1
    ).clamp_min(1e-300)
    error = world.errors(params)
    importance = world.importance.clone().requires_grad_()
    [backprop] = torch.autograd.grad((importance * error).mean(-1).sum(), importance)
    direct = error / W.shape[1]
    variables = {
        "capacity": ("run feature", capacities, "dimensions"),
        "norm": ("run feature", norm, "1"),
        "expected": ("run", (world.importance * error).mean(-1), "squared input"),
        "identity_gap": ("run", (capacities - dimensionality(W)).abs().amax(-1), "dimensions"),
        "unsquared_gap": ("run", (capacities - unsquared).abs().amax(-1), "dimensions"),
        "cosines_gap": ("run", (capacities - cosines).abs().amax(-1), "dimensions"),
        "backprop_gap": ("run", (backprop - direct).abs().amax(-1) / direct.amax(-1), "1"),
    } | {
        k: (dims, trained.tensors[k], unit)
        for k, (dims, unit) in EXTRAS.items()
        if k in trained.tensors
    }
    coords = {}
    if "loss" in trained.history:
        coords, variables["loss"] = (
            {"step": trained.steps.tolist()},
            ("run step", trained.history["loss"], "loss"),
        )
    return measures(runs, coords=coords, **variables)
