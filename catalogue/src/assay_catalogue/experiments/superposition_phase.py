"""Superposition phases: whether a second feature is stored in superposition or dropped, against the
exact phase diagram.

Group: toys
Paper: Toy Models of Superposition, "Superposition as a Phase Change", Elhage et al. 2022
Claim: trained models drop the lesser of two features where theory says so, by density and relative
importance, and all at once
Baselines: single, one start in place of the best of eight; blind and by-row, predictions without
importance or density; equal; linear
Cost: 166 s on 2 cores, 300 CPU-seconds, 0.4 GB a process
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from assay.core import (
    Arm,
    Arms,
    Claim,
    Estimate,
    Experiment,
    Figure,
    PerRun,
    Spec,
    figure,
    grid,
    variant,
)
from assay.core.bench import Bench
from assay.core.claims import same_method
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import by, measures
from assay.core.runs import Runs
from assay.core.stats import at_best
from assay.data import planted
from assay_catalogue.worlds.bottleneck import phase

PAPER = "Elhage et al. 2022, Toy Models of Superposition, Superposition as a Phase Change"
GROUP = 8
"""Seeds in a group: starts at one problem, for which the one with the lowest exact loss speaks.
Groups are the units."""
GROUPS = 44
"""Groups of `main`: with all of a share at 1, the fewest whose exact interval lies above 0.9 with
room for one cell missed are 42."""
FEWER = 8
"""Groups of the other arms that are trained."""
DENSITIES = tuple(float(p) for p in np.round(np.geomspace(0.05, 1, 14), 4))
RELATIVE = tuple(float(r) for r in np.round(np.geomspace(0.1, 10, 13), 4))
ROWS = (0.1, 0.2, 0.4)
"""Relative importances of `main`; at the reciprocals the features only change places."""
COLUMNS = (0.12, 0.15, 0.19, 0.25, 0.31, 0.4, 0.5, 0.7, 1.0)
"""Densities of `main`: some on either side of every row's boundary."""


@dataclass(frozen=True, kw_only=True)
class Phase(Spec):
    densities: tuple[Annotated[float, Gt(0), Le(1)], ...] = DENSITIES
    """Probabilities that a feature is active in one input, ascending: one model each, all from one
    start; 1 is dense."""
    relative: PerRun[Annotated[float, Gt(0)]] = 1.0
    """Importance of the second feature over that of the first."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    lr: Annotated[float, Gt(0)] = 1e-2
    """Adam's learning rate."""
    steps: Annotated[int, Ge(1)] = 1_500
    """Training steps."""
    batch: Annotated[int, Ge(1)] = 256
    """Inputs a step, drawn fresh."""

    def check(self) -> None:
        if len(self.densities) < 2 or list(self.densities) != sorted(set(self.densities)):
            raise SpecError(
                f"Phase.densities must be two or more, ascending, each once, got {self.densities}"
            )


# --- what is trained and measured -----------------------------------------------------------------


def train(runs: Runs[Phase], bench: Bench) -> Trained:

    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    relative = torch.from_numpy(runs.each("relative")).float()
    importance = torch.stack((torch.ones_like(relative), relative), 1)
    batches = planted.sparse_features(toy.models(runs.seeds, s.densities), 2, s.batch)
    return toy.train_densities(
        runs, 1, importance, s.densities, batches, lr=s.lr, steps=s.steps, relu=s.relu, bench=bench
    )


def measure(runs: Runs[Phase], trained: Trained, bench: Bench) -> xr.Dataset:
    """The weights, and what theory says of them and of the best possible ones; no inputs are
    drawn."""
    s = runs.shared
    W, b = (
        trained.tensors[name].double().cpu().numpy() for name in ("W", "b")
    )  # [run, density, 2, 1], [run, density, 2]
    p, r = np.array(s.densities), runs.each("relative")[:, None]
    lesser = np.round(
        np.minimum(r, 1 / r), 6
    )  # [run, 1]: the diagram's mirror image has the same theory
    optimal = np.array([[phase.optimal_boundary(x)] for x in lesser[:, 0].tolist()])
    least, at_least = np.moveaxis(
        np.array([[phase.least(q, x) for q in s.densities] for x in lesser[:, 0].tolist()]), -1, 0
    )
    errors = [
        [phase.expected_errors(*model, s.relu) for model in zip(*run, s.densities, strict=True)]
        for run in zip(W, b, strict=True)
    ]
    length = abs(W[..., 0])
    of_lesser = np.where(r == 1, length.min(-1), np.where(r < 1, length[..., 1], length[..., 0]))
    return measures(
        runs,
        coords={"step": trained.steps.tolist(), "density": s.densities},
        loss=("run step", trained.history["loss"], "squared input"),
        exact=(
            "run density",
            (np.array(errors) * np.stack((np.ones_like(r), r), -1)).sum(-1),
            "squared input",
        ),
        least=("run density", least * np.maximum(r, 1), "squared input"),
        lesser=("run density", of_lesser, "1"),
        lesser_at_least=("run density", at_least, "1"),
        label=("run density", phase.labels(W[..., 0], r), "state"),
        predicted=("run density", phase.predicted(p, r, optimal), "state"),
        closed_boundary=("run", phase.boundary(r[:, 0]), "density"),
        optimal_boundary=("run", optimal[:, 0], "density"),
    )


# --- what is compared -----------------------------------------------------------------------------


def best(arm: xr.Dataset, name: str) -> xr.DataArray:
    """[group, relative, density]: a measure of the run of each group with the lowest exact loss."""
    runs = by(arm, "relative")
    return at_best(runs[name], runs.exact, GROUP)


def agreement(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[group]: in what share of the cells that theory decides the trained state is the predicted
    one."""
    predicted = best(arm, "predicted")
    return (
        (best(arm, "label") == predicted)
        .astype(float)
        .where(predicted.notnull())
        .mean(("relative", "density"))
    )


def single_share(arms: Arms) -> xr.DataArray:
    """[seed]: the share of judged cells in which this one start ends in the predicted state."""
    runs = by(arms["main"], "relative")
    return (
        (runs.label == runs.predicted)
        .astype(float)
        .where(runs.predicted.notnull())
        .mean(("relative", "density"))
    )


def excess(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[group]: by what share the best trained loss exceeds the least possible one, averaged over
    cells."""
    return (best(arm, "exact") / best(arm, "least") - 1).mean(("relative", "density"))


def jump(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[group]: the largest change of the lesser feature's length between neighbouring densities,
    averaged over rows."""
    return abs(best(arm, "lesser").diff("density")).max("density").mean("relative")


def dropped_at(arms: Arms, over: str) -> xr.DataArray:
    """[group]: the density at which the lesser feature's length falls to a half, over a boundary of
    theory; mean over rows."""
    arm = arms["main"]
    length = best(arm, "lesser")
    p = np.log(length.density.values)
    log_density = np.array(
        [
            [crossing(p, row) for row in group]
            for group in length.transpose("group", "relative", "density").values
        ]
    )
    boundary = by(arm, "relative")[over].isel(seed=0, drop=True)
    return (length.isel(density=0, drop=True).copy(data=np.exp(log_density)) / boundary).mean(
        "relative"
    )


def crossing(x: np.ndarray, y: np.ndarray) -> float:
    """Where y, that starts above a half, first falls below it, on the straight line between two
    points; NaN if it never does."""
    below = np.flatnonzero(y < 0.5)
    if not len(below) or not below[0]:
        return np.nan
    i = below[0]
    return x[i - 1] + (x[i] - x[i - 1]) * (y[i - 1] - 0.5) / (y[i - 1] - y[i])


# --- what else might explain it -------------------------------------------------------------------

JUDGED = ["label", "predicted", "exact"]
"""The measures that a claim about states reads."""


def blind(arms: Arms) -> xr.Dataset:
    """The states of main with a prediction that ignores importance: superposed below 4/7, the
    boundary of equal features."""
    arm = arms["main"][JUDGED]
    return arm.assign(predicted=(arm.density >= 4 / 7).astype(float).where(arm.predicted.notnull()))


def by_row(arms: Arms) -> xr.Dataset:
    """The states of main with a prediction that ignores density: in each row the state that theory
    predicts more often there."""
    arm = arms["main"][JUDGED]
    return arm.assign(
        predicted=(arm.predicted.mean("density") > 0.5).astype(float).where(arm.predicted.notnull())
    )


def single(arms: Arms) -> xr.Dataset:
    """The measures of main with every group's first start in the place of all eight."""
    arm = arms["main"]
    index = {
        (int(s), float(r)): i
        for i, (s, r) in enumerate(zip(arm.seed.values, arm.relative.values, strict=True))
    }
    least = int(arm.seed.values.min())
    first = [index[s - (s - least) % GROUP, r] for s, r in index]
    return arm.assign(
        {name: (arm[name].dims, arm[name].values[first]) for name in (*JUDGED, "least")}
    )[[*JUDGED, "least"]]


# --- figures --------------------------------------------------------------------------------------


def figures(arms: Arms) -> list[Figure]:
    """Heat maps over density and relative importance."""
    panels = {"trained, best of eight": "lesser", "exact optimum": "lesser_at_least"}
    lengths = {panel: best(arms["diagram"], name).isel(group=0) for panel, name in panels.items()}
    rows = [
        (panel, f"{p:.2g}".lstrip("0"), float(f"{r:.2g}"), float(x.sel(density=p, relative=r)))
        for panel, x in lengths.items()
        for r in x.relative.values
        for p in x.density.values
    ]
    return [
        figure(
            "The lesser feature is stored or dropped where the exact optimum says",
            "heatmap",
            {
                "panel": "facet",
                "density": "x",
                "relative": "y",
                "length of the lesser column": "color",
            },
            rows,
            x_title="probability that a feature is active",
            y_title="importance of the second feature",
        )
    ]


# --- arms and claims ------------------------------------------------------------------------------


def whole_groups(main: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """The preset's runs. Raises: SpecError where there are fewer seeds than speak for one group."""
    seeds = sorted({s.seed for s in main})
    if len(seeds) < GROUP:
        raise SpecError(
            f"superposition-phase judges the best of {GROUP} starts, so it needs at least "
            f"{GROUP} seeds, got {len(seeds)}"
        )
    return main


def diagram(main: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """One group over the whole diagram; of a preset with as few densities as smoke has, over
    those."""
    few = len(main[0].densities) <= 3
    return (
        variant(seeds=GROUP)
        if few
        else variant(seeds=GROUP, over={"relative": RELATIVE}, densities=DENSITIES)
    )(main)


EQUAL = {
    "equal": same_method("two equal features: theory says as much of them, that both are kept")
}

claim = partial(
    Claim,
    units=("group",),
    credits="model",
    half={"main": "main-half"},
    published="new",
    source=PAPER,
)
"""A claim with what most of them share."""
experiment = Experiment(
    sizes={
        "cells": lambda sizes: len(sizes("main", "relative")) * len(sizes("main", "densities")[0])
    },
    arms={
        "main": Arm(
            train,
            specs=whole_groups,
            note="two features, one dimension: {main.relative#:w relative importance|relative "
            "importances} by {main.densities#:w density|densities}",
        ),
        "single": Arm(
            derive=single,
            note="each group's first start in the place of its best: what any one training shows",
        ),
        "blind": Arm(derive=blind, note="`main`, with a prediction that ignores importance"),
        "by-row": Arm(
            derive=by_row,
            note="`main`, with a prediction that ignores density: each row's more frequent state",
        ),
        "equal": Arm(
            train,
            specs=variant(seeds=FEWER * GROUP, over={"relative": (1.0,)}),
            note="the row of equal importance: no feature is the lesser",
        ),
        "linear": Arm(
            train,
            specs=variant(seeds=FEWER * GROUP, relu=False),
            note="the same models without ReLU: they cannot superpose",
        ),
        "main-half": Arm(
            train,
            specs=variant(seeds=FEWER * GROUP, times={"steps": 0.5}),
            note="main, half as long",
        ),
        "diagram": Arm(
            train, specs=diagram, note="one group over the whole diagram, for its pictures"
        ),
    },
    measure=measure,
    claims=(
        claim(
            "Where theory decides, the best of eight models is in the predicted state in at "
            "least 0.9 of the cells",
            value=agreement,
            low=0.9,
            bounds=(0, 1),
            unit="share of cells",
            near={
                "blind": "that all that decides is how dense the inputs are",
                "by-row": "that all that decides is how unequal the features are",
            },
            also=EQUAL
            | {
                "single": same_method(
                    "a single start is a trained model too, in the predicted state nearly as often"
                )
            },
            fixed=("{cells} cells",),
            threshold_from=(
                "pilot: seeds 0–47, in the predicted state in every cell; 0.9 is what 36 groups "
                "can show if all of them are"
            ),
        ),
        claim(
            "The best of eight models costs at most 0.3 % more than the least possible loss, "
            "geometric mean over groups",
            value=excess,
            high=0.003,
            scale="log",
            unit="share of the least loss",
            must_fail=("single", "linear"),
            near={
                "single": "that any start ends at the optimum, and eight are not needed to find it"
            },
            also=EQUAL,
            threshold_from="pilot: seeds 0–47, .0008 [.0006, .0012]; single starts .01",
        ),
        claim(
            "At a relative importance of 0.4 or less the lesser feature goes at once: its "
            "length falls by at least 0.6 in one step",
            value=jump,
            low=0.6,
            unit="length",
            must_fail=("equal", "linear"),
            near={
                "equal": (
                    "that a column shortens as suddenly without being dropped, where neither "
                    "feature is the lesser"
                )
            },
            threshold_from="plan: before anything was trained",
        ),
        Estimate(
            "Share of those cells in which a single start is in the predicted state",
            value=single_share,
            unit="share of cells",
            source=PAPER,
        ),
        Estimate(
            "Density at which the lesser feature's length falls to a half, over the exact "
            "boundary of the optimum",
            value=lambda arms: dropped_at(arms, "optimal_boundary"),
            units=("group",),
            unit="ratio",
            source=PAPER,
        ),
        Estimate(
            "The same over 4r/(2 + 5r), where W = (1, −1) stops beating one feature",
            value=lambda arms: dropped_at(arms, "closed_boundary"),
            units=("group",),
            unit="ratio",
            source=PAPER,
        ),
    ),
    figures=figures,
    scope=(
        "two features in one dimension, the cells of one grid; a unit is a group of eight starts, "
        "all cells of a group from the same eight"
    ),
    seeds_per_group=16,
    smoke=grid(
        Phase(steps=20, densities=(0.05, 0.3, 1.0)), relative=(0.25, 0.4), seed=range(GROUP)
    ),
    default=grid(
        Phase(densities=COLUMNS), relative=ROWS, seed=range(62_100, 62_100 + GROUPS * GROUP)
    ),
)
