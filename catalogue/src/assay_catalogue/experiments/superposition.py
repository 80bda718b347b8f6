"""Superposition: a narrow ReLU model stores more sparse features than it has dimensions.

Group: toys
Paper: Toy Models of Superposition, "Demonstrating Superposition", Elhage et al. 2022
Claim: at density 0.01 at least 1.5 features per dimension are represented
Baselines: drawn, the ReLU model on directions that nobody trained; linear, no ReLU, which stays
below (width + 1)/0.9 features
Cost: 111 s on 2 cores, 200 CPU-seconds, 0.5 GB a process
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le

from assay.core import (
    Arm,
    Arms,
    Claim,
    Estimate,
    Exact,
    Experiment,
    Gate,
    PerRun,
    Published,
    Spec,
    SpecMap,
    changed,
    converged,
    curve,
    descent,
    fit,
    grid,
)
from assay.core.bench import Bench
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import by, measures
from assay.core.runs import Runs
from assay.data import planted

PAPER = "Elhage et al. 2022, Toy Models of Superposition, Demonstrating Superposition"
GEOMETRY = "Elhage et al. 2022, Toy Models of Superposition, The Geometry of Superposition"
SHOWN = ("main", "drawn", "linear")
"""Arms in the picture."""
LINEAR_LIMIT = (
    "theory: a linear model represents fewer than (width + 1)/0.9 features, 1.33 per dimension at "
    "width 5"
)


@dataclass(frozen=True, kw_only=True)
class Superposition(Spec):
    density: PerRun[Annotated[float, Gt(0), Le(1)]] = 0.01
    """Probability that a feature is active in one input; 1 is dense."""
    lr: PerRun[Annotated[float, Gt(0)]] = 3e-3
    """Adam's learning rate."""
    features: Annotated[int, Ge(1)] = 20
    """Number of input features, all equally important."""
    width: Annotated[int, Ge(1)] = 5
    """Dimensions of the bottleneck."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    drawn: bool = False
    """Whether the features' directions stay as they were drawn, so that only lengths and biases are
    trained."""
    steps: Annotated[int, Ge(1)] = 8_000
    """Training steps."""
    batch: Annotated[int, Ge(1)] = 256
    """Inputs a step, drawn fresh."""
    replicate: int = 0
    """Another independent draw of the same set-up: shifts every seed."""


def train(runs: Runs[Superposition], bench: Bench) -> Trained:
    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    params = toy.bottleneck(runs.replicated(), s.features, s.width)  # W [run f d], b [run f]
    length = params["W"].norm(dim=-1)
    unit = (params["W"] / length.unsqueeze(-1)).to(bench.device)
    if s.drawn:
        params = {"length": length, "b": params["b"]}

    def model(p: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"W": unit * p["length"].unsqueeze(-1), "b": p["b"]} if s.drawn else p

    def loss(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return toy.mean_square(toy.reconstruct(model(p), x, s.relu), x)  # [run]

    batches = planted.sparse_features(runs.replicated(), s.features, s.batch)
    trained = fit(
        [descent(runs, params, loss, lr=runs.each("lr"))], batches, steps=s.steps, bench=bench
    )[0]
    return replace(trained, tensors=model(trained.tensors))


def measure(runs: Runs[Superposition], trained: Trained, bench: Bench) -> xr.Dataset:
    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    unit_inputs = planted.one_hot(s.features).to(bench.device)  # [b=f, f]: each feature by itself
    error = (toy.reconstruct(trained.tensors, unit_inputs, s.relu) - unit_inputs).square().sum(-1)
    x = planted.sparse_features(runs.replicated(), s.features, 20_000, stream="test")(0).to(
        bench.device
    )
    held_out = toy.mean_square(toy.reconstruct(trained.tensors, x, s.relu), x)
    return measures(
        runs,
        coords={"step": trained.steps.tolist()},
        loss=("run step", trained.history["loss"], "squared input"),
        held_out=("run", held_out, "squared input"),
        input_variance=("run", x.var((1, 2)), "squared input"),
        error=("run feature", error, "squared input"),
        represented=("run feature", error < 0.1, "bool"),
        norm=("run feature", trained.tensors["W"].norm(dim=-1), "1"),
    )


def per_dimension(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: features whose lone input comes back with squared error below 0.1, for each dimension
    of the bottleneck."""
    return arm.represented.sum("feature") / arm.attrs["width"]


def gain(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: how many more features per dimension at the sparsest than at the densest inputs."""
    count = by(arm, "density").represented.sum("feature") / arm.attrs["width"]
    return count.isel(density=0, drop=True) - count.isel(density=-1, drop=True)


def loss_against_linear(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: held-out loss as a share of the linear model's at the same seed and density."""
    return arm.held_out / arms["linear"].held_out


def settled(arm: xr.Dataset) -> np.ndarray:
    """Whether at every density the mean loss moved by at most 5 % of its end value since half
    way."""
    loss = by(arm, "density").loss.mean("seed")
    half = loss.sel(step=loss.step[-1] / 2, method="nearest")
    end = loss.isel(step=-1)
    return (abs(half - end) <= 0.05 * end).values


def over_linear_optimum(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: held-out loss over what principal components reach, (1 − width/features) · (p/3 −
    p²/4)."""
    share = 1 - arm.attrs["width"] / arm.attrs["features"]
    return arm.held_out / (share * (arm.density / 3 - arm.density**2 / 4))


def variance_ratio(arms: Arms) -> np.ndarray:
    """[density]: variance of the held-out inputs over p/3 − p²/4."""
    inputs = by(arms["main"], "density").input_variance.mean("seed")
    return (inputs / [planted.variance(p) for p in inputs.density.values]).values


def select_ends(
    *ends: Callable[[Iterable[float]], float], **changes: Any
) -> SpecMap[Superposition]:
    """The runs at these ends of the densities, `min` or `max`, with these changes."""

    def specs(main: tuple[Superposition, ...]) -> tuple[Superposition, ...]:
        densities = {end(s.density for s in main) for end in ends}
        return tuple(s.replace(**changes) for s in main if s.density in densities)

    return specs


ANY_DIRECTIONS = (
    "in {main.width:w} dimensions {main.features:w} directions drawn at random are apart enough, "
    "if lengths and biases fit them"
)
COUNT = {
    "unit": "features per dimension",
    "must_fail": ("drawn", "linear"),
    "near": {"drawn": ANY_DIRECTIONS},
    "credits": ("directions", "lengths", "biases"),
    "source": PAPER,
}

experiment = Experiment(
    arms={
        "main": Arm(train, note="the ReLU model"),
        "drawn": Arm(
            train,
            specs=select_ends(min, max, drawn=True),
            note="the ReLU model on drawn directions; only lengths and biases are trained",
            learned=("lengths", "biases"),
        ),
        "linear": Arm(
            train,
            specs=changed(relu=False),
            note="the same model without ReLU: it can only keep directions",
        ),
        "linear-again": Arm(
            train,
            specs=select_ends(min, relu=False, replicate=1),
            note="independent linear models: no effect to find",
        ),
    },
    measure=measure,
    claims=(
        Claim(
            "At density 0.01 at least 1.5 features per dimension are represented",
            value=per_dimension,
            where={"density": 0.01},
            low=1.5,
            bounds=(0, 4),
            gates=(converged("loss"),),
            threshold_from=LINEAR_LIMIT,
            published=Published(
                2.0,
                f"{GEOMETRY}: a plateau at half a dimension per feature, 400 features in 30 "
                "dimensions",
                note="counted there by ‖W‖², over many densities; here by what comes back",
            ),
            **COUNT,
        ),
        Claim(
            "From the densest to the sparsest inputs, features per dimension rise by at least 1.5",
            value=gain,
            low=1.5,
            bounds=(-4, 4),
            gates=(Gate("converged", settled),),
            threshold_from=LINEAR_LIMIT,
            published="new",
            **COUNT,
        ),
        Claim(
            "At density 0.01 the ReLU model's held-out loss is at most half the linear model's",
            value=loss_against_linear,
            where={"density": 0.01},
            high=0.5,
            scale="log",
            unit="share of the linear loss",
            must_fail=("drawn", "linear-again"),
            near={"drawn": ANY_DIRECTIONS},
            credits=("directions", "lengths", "biases"),
            empty=1.0,
            gates=(converged("loss"),),
            threshold_from="pilot: seeds 0–7, share 0.15 to 0.17",
            published="new",
            source=PAPER,
        ),
        Exact(
            "The planted inputs have variance p/3 − p²/4 at every density: ratio",
            value=variance_ratio,
            expected=1.0,
            tolerance=0.05,
            source="variance of a uniform number present with probability p",
        ),
        Estimate(
            "At density 0.01 the linear model's held-out loss over its optimum, (1 − d/n)(p/3 "
            "− p²/4)",
            value=lambda arms: over_linear_optimum(arms["linear"], arms),
            where={"density": 0.01},
            unit="share of the optimum",
            published="new",
            source="principal components of independent inputs",
        ),
    ),
    figures=lambda arms: [
        curve(
            "Sparser inputs are packed more densely",
            arms,
            x="density",
            y=per_dimension,
            which=SHOWN,
            x_log=True,
            x_title="probability that a feature is active",
            y_title="features per dimension",
            rules=((1.0, "one feature a dimension"),),
        ),
    ],
    scope="{features} equally important independent features in {width} dimensions",
    smoke=grid(Superposition(steps=20), density=(1.0, 0.01), seed=range(2)),
    default=grid(Superposition(), density=(1.0, 0.3, 0.1, 0.03, 0.01), seed=range(63340, 63356)),
)
