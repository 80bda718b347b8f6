"""Selection noise: how many mutations or evaluations must share an example before steps have the
structure of the examples' gradients.

Group: training
Paper: Sourbut 2022, Conditions for mathematical equivalence of SGD and Natural Selection, and a
comment on it
Claim: exact statements only: one mutation an example leaves no correlation, many bring it back; an
evolution strategy has half with one
Baselines: one trial an example; selection that only sees which mutations are fitter; closed forms
Cost: 6.1 s on 2 cores, 8.9 CPU-seconds, 1.5 GB a process
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt

from assay.core import (
    Arm,
    Arms,
    Exact,
    Experiment,
    Figure,
    PerRun,
    Spec,
    changed,
    figure,
    grid,
    reserved,
)
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.analysis.luck import normal_errors
from assay_catalogue.worlds.steps import laws
from assay_catalogue.worlds.steps.noise import lock_step, too_sharp
from assay_catalogue.worlds.steps.optimisers import Slope

MUTATIONS, EVALUATIONS = (1, 5, 21, 41, 101, 401), (1, 3, 9, 25, 49)
"""K and P of the curves."""
EQUAL, DOUBLE = 1.0, 2.0
"""c of the curves, a being 1."""
PANELS = {
    "main": "K mutations on one example, linear",
    "hard": "K mutations on one example, hard",
    "es": "P evaluations on one example",
}
"""Arms in the picture."""


@dataclass(frozen=True, kw_only=True)
class SelectionNoise(Spec):
    law: Literal["linear", "hard", "es"] = "linear"
    """What one example decides: which mutations are accepted, or how evaluated directions are
    weighted."""
    trials: PerRun[Annotated[int, Ge(1)]] = 1
    """K mutations, or P evaluations, on one example."""
    a: PerRun[float] = 1.0
    """Each example's gradient along the first coordinate, per g; g varies over examples with a
    standard deviation of 1."""
    c: PerRun[float] = 1.0
    """And along the second."""
    steps: int = 4_000
    """Steps of a run, each on an example of its own."""
    mutation: Annotated[float, Gt(0)] = 0.05
    """s: standard deviation of a mutation in each coordinate."""
    sharpness: Annotated[float, Gt(0)] = 1.0
    """β: how fast the probability of acceptance grows with fitness, where it is linear."""

    def check(self) -> None:
        if self.steps < laws.PARTS or self.steps % laws.PARTS:
            raise SpecError(
                f"SelectionNoise.steps must be a multiple of {laws.PARTS}, as a run is drawn "
                f"in so many parts, got {self.steps}"
            )
        for name in ("a", "c"):
            if getattr(self, name) == 0:
                raise SpecError(
                    f"SelectionNoise.{name} must not be 0: each example moves both coordinates"
                )
        if self.law == "linear" and (
            why := too_sharp(np.zeros(3), lock_step(self.a, self.c), self.mutation, self.sharpness)
        ):
            raise SpecError(f"SelectionNoise.{why}")


def slope_and_law(runs: Runs[SelectionNoise]) -> tuple[Slope, laws.Law]:
    """A slope without a true gradient, seen through one example at a time, and how steps are made
    on it."""
    s, trials = runs.shared, runs.each("trials")
    slope = Slope(
        s.law,
        runs.seeds,
        runs.each("a"),
        runs.each("c"),
        spread=1.0,
        drift=0.0,
        batch=1,
        n=3,
        times=s.steps // laws.PARTS,
    )
    return slope, laws.Law(
        s.law,
        lr=1.0,
        examples=1,
        size=s.mutation,
        sharpness=s.sharpness,
        held=trials,
        evaluations=trials,
    )


def train(runs: Runs[SelectionNoise], bench: Bench) -> Trained:
    return laws.walk(runs, *slope_and_law(runs), bench)


def measure(runs: Runs[SelectionNoise], trained: Trained, bench: Bench) -> xr.Dataset:
    moments = laws.moments(trained, *slope_and_law(runs))
    correlations = [
        p[:, 1] / np.sqrt(p[:, 0] * p[:, 2])
        for p in map(laws.pair, (moments.covariance, moments.covariance_expected))
    ]
    return measures(
        runs,
        correlation=("run", correlations[0], "1"),
        correlation_expected=("run", correlations[1], "1"),
    )


def strategies(specs: tuple[SelectionNoise, ...]) -> tuple[SelectionNoise, ...]:
    """An evolution strategy for each seed, pair of a and c, and number of evaluations."""
    first = [s for s in specs if s.trials == min(t.trials for t in specs)]
    return tuple(s.replace(law="es", trials=p) for s in first for p in EVALUATIONS)


def points(arm: xr.Dataset) -> list[tuple[float, int, xr.Dataset]]:
    """The runs of each c and number of trials: (c, trials, the runs there)."""
    levels = sorted(set(zip(arm.c.values.tolist(), arm.trials.values.tolist(), strict=True)))
    return [(c, k, arm.isel(run=((arm.c == c) & (arm.trials == k)).values)) for c, k in levels]


def on_the_curve(name: str) -> Callable[[Arms], np.ndarray]:
    """[point]: correlation at every c and number of trials against its closed form, in standard
    errors."""
    return lambda arms: np.concatenate(
        [normal_errors(a.correlation - a.correlation_expected) for _, _, a in points(arms[name])]
    )


def with_one_trial(*names: str) -> Callable[[Arms], list[float]]:
    """[point]: the closed form's correlation at one mutation an example."""
    return lambda arms: [
        float(a.correlation_expected[0])
        for name in names
        for _, k, a in points(arms[name])
        if k == 1
    ]


def figures(arms: Arms) -> list[Figure]:
    rows = [
        (panel, f"c = {'' if c == EQUAL else f'{c:g}'}a, {what}", k, interval)
        for name, panel in PANELS.items()
        for c, k, a in points(arms[name])
        for what, interval in {
            "measured": a.correlation.values,
            "theory": (float(a.correlation_expected[0]),) * 3,
        }.items()
    ]
    return [
        figure(
            "Accepted mutations need many trials on one example; an evolution strategy is "
            "half-way with one",
            "line",
            {"panel": "facet", "series": "color", "k": "x", "mean": "mean"},
            rows,
            x_log=True,
            x_title="trials on one example, K or P",
            y_title="correlation of the two coordinates' steps",
            rules=((1.0, ""),),
            note="Dashed: SGD, exactly 1. Measured curves and closed forms lie on each other.",
        )
    ]


TOTAL = "law of total covariance"
MONTE_CARLO = {"expected": 0.0, "tolerance": 4.0, "unit": "standard errors"}
"""What simulated means are held to: a right one is 4 off with a chance of 6e-5."""
experiment = Experiment(
    arms={
        "main": Arm(
            train,
            specs=reserved("law"),
            note="mutations, accepted the likelier the fitter they are on one example",
        ),
        "hard": Arm(
            train,
            specs=changed(law="hard"),
            note="mutations, accepted if they are fitter on one example, however little",
        ),
        "es": Arm(
            train,
            specs=strategies,
            note=(
                "evolution strategies: random directions, weighted by how fit each is on one "
                "example"
            ),
        ),
    },
    measure=measure,
    claims=(
        Exact(
            "With one mutation for each example the closed form's correlation is 0, whatever "
            "a and c: linear and hard selection",
            value=with_one_trial("main", "hard"),
            tolerance=0.0,
            source="K(K − 1) = 0",
        ),
        Exact(
            "Correlation at every K under linear selection, against its closed form",
            value=on_the_curve("main"),
            source=TOTAL,
            **MONTE_CARLO,
        ),
        Exact(
            "Correlation at every K under hard selection, against its closed form",
            value=on_the_curve("hard"),
            source=TOTAL,
            **MONTE_CARLO,
        ),
        Exact(
            "Correlation at every P of an evolution strategy, against its closed form",
            value=on_the_curve("es"),
            source=TOTAL,
            **MONTE_CARLO,
        ),
    ),
    figures=figures,
    scope=(
        "an example in closed form: two coordinates that every example moves together, without a "
        "true gradient, one example a step"
    ),
    seeds_per_group=24,
    smoke=grid(SelectionNoise(steps=80), c=(EQUAL, DOUBLE), trials=MUTATIONS[:3], seed=range(2)),
    default=grid(SelectionNoise(), c=(EQUAL, DOUBLE), trials=MUTATIONS, seed=range(6000, 6024)),
)
