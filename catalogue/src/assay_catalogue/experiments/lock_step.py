"""Lock-step: one step of SGD, of a gradient with noise added, of evolution and of Adam, on an
example where all of it is known.

Group: training
Paper: Sourbut 2022, Conditions for mathematical equivalence of SGD and Natural Selection, and a
comment on it
Claim: exact statements only: minibatches move two weights in lock-step, as examples do; noise drawn
weight by weight and mutations do not
Baselines: normal noise of SGD's covariance, of its variances, of its trace; mutations accepted by
their true fitness; closed forms
Cost: 5.6 s on 2 cores, 7.8 CPU-seconds, 1.4 GB a process
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
    variant,
)
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.analysis.luck import normal_errors
from assay_catalogue.worlds.steps import laws
from assay_catalogue.worlds.steps.noise import too_sharp
from assay_catalogue.worlds.steps.optimisers import Slope

COMMENT = (
    "a comment on Sourbut 2022, Conditions for mathematical equivalence of Stochastic Gradient "
    "Descent and Natural Selection"
)
SHOWN = {
    "main": "SGD",
    "full": "normal, same covariance",
    "iso": "isotropic",
    "linear": "evolution",
    "es": "ES, P = 49",
    "adam": "Adam",
}
"""Arms in the picture."""


@dataclass(frozen=True, kw_only=True)
class LockStep(Spec):
    law: Literal[
        "sgd", "epochs", "skewed", "adam", "iso", "diag", "full", "hard", "linear", "es"
    ] = "sgd"
    """How a step is made; `hard` and `linear` accept mutations by their true fitness."""
    a: PerRun[float] = 2.0
    """Each example's gradient along the first coordinate, per g; g varies over examples with a
    standard deviation of 1."""
    c: PerRun[float] = -3.0
    """And along the second."""
    drift: float = 1.0
    """The true gradient, along the third coordinate."""
    batch: Annotated[int, Ge(1)] = 8
    """Examples in a minibatch."""
    examples: Annotated[int, Ge(2)] = 1_000
    """Examples there are, for SGD without replacement."""
    coordinates: Annotated[int, Ge(4)] = 16
    """Dimensions of the slope: the pair, the true gradient's, and at least one that nothing
    moves."""
    steps: int = 20_000
    """Steps of a run."""
    lr: Annotated[float, Gt(0)] = 1e-2
    """Learning rate."""
    mutation: Annotated[float, Gt(0)] = 0.05
    """s: standard deviation of a mutation in each coordinate."""
    sharpness: Annotated[float, Gt(0)] = 1.0
    """β: how fast the probability of acceptance grows with fitness."""
    evaluations: Annotated[int, Ge(1)] = 49
    """P: random directions that an evolution strategy evaluates on one minibatch."""

    def check(self) -> None:
        if self.batch > self.examples:
            raise SpecError(
                f"LockStep.batch must be at most the {self.examples} examples that there are, "
                f"got {self.batch}"
            )
        if self.steps < laws.PARTS or self.steps % laws.PARTS:
            raise SpecError(
                f"LockStep.steps must be a multiple of {laws.PARTS}, as a run is drawn in so "
                f"many parts, got {self.steps}"
            )
        for name in ("a", "c"):
            if getattr(self, name) == 0:
                raise SpecError(
                    f"LockStep.{name} must not be 0: each example moves both coordinates"
                )
        gradient = np.array([0, 0, self.drift])
        if self.law == "linear" and (
            why := too_sharp(gradient, np.zeros((3, 3)), self.mutation, self.sharpness)
        ):
            raise SpecError(f"LockStep.{why}")


def slope_and_law(runs: Runs[LockStep]) -> tuple[Slope, laws.Law]:
    """The slope of all runs, and how their steps are made; where selection sees the true fitness,
    examples do not differ."""
    s = runs.shared
    spread = 0.0 if s.law in ("hard", "linear") else 1.0
    slope = Slope(
        s.law,
        runs.seeds,
        runs.each("a"),
        runs.each("c"),
        spread,
        s.drift,
        s.batch,
        s.coordinates,
        s.steps // laws.PARTS,
    )
    ones = np.ones(len(runs), int)
    return slope, laws.Law(
        s.law,
        s.lr,
        s.examples,
        s.mutation,
        s.sharpness,
        held=ones,
        evaluations=s.evaluations * ones,
    )


def train(runs: Runs[LockStep], bench: Bench) -> Trained:
    return laws.walk(runs, *slope_and_law(runs), bench)


def measure(runs: Runs[LockStep], trained: Trained, bench: Bench) -> xr.Dataset:
    s, (slope, law) = runs.shared, slope_and_law(runs)
    moments = laws.moments(trained, slope, law)
    pair = laws.pair(moments.covariance)
    axis_moments = [
        np.stack([mean[:, 2], covariance[:, 2, 2]], 1)
        for mean, covariance in (
            (moments.mean, moments.covariance),
            (moments.mean_expected, moments.covariance_expected),
        )
    ]
    tau = s.lr * np.sqrt((slope.a**2 + slope.c**2) / (2 * s.batch))  # of isotropic noise
    moved = np.square(np.diff(moments.path / tau[:, None], axis=1)).mean(1) / slope.times
    return measures(
        runs,
        correlation=("run", pair[:, 1] / np.sqrt(pair[:, 0] * pair[:, 2]), "1"),
        pair=("run entry", pair, "squared step"),
        pair_expected=("run entry", laws.pair(moments.covariance_expected), "squared step"),
        along=("run moment", axis_moments[0], "step, squared step"),
        along_expected=("run moment", axis_moments[1], "step, squared step"),
        skewness=("run", moments.skewness, "1"),
        skewness_expected=(
            "run",
            np.full(len(runs), 2 / s.batch**0.5 if s.law == "skewed" else 0.0),
            "1",
        ),
        diffusion=("run", moved, "τ² a step"),
        some=("run kept axis", trained.tensors["some"], "step"),
    )


def errors_of(measure: str, *names: str) -> Callable[[Arms], np.ndarray]:
    """These arms' measure against its closed form, in standard errors."""
    return lambda arms: np.concatenate(
        [normal_errors(arms[n][measure] - arms[n][measure + "_expected"]) for n in names]
    )


def in_their_direction(arm: xr.Dataset) -> float:
    """The correlation of both coordinates' steps, positive in the direction of the examples', least
    of all runs."""
    return float((arm.correlation * np.sign(arm.a * arm.c)).min())


def figures(arms: Arms) -> list[Figure]:
    rows: list[tuple] = []
    turn = np.linspace(0, 2 * np.pi, 37)
    for name, label in SHOWN.items():
        covariance = arms[name].pair.mean("run").values[[0, 1, 1, 2]].reshape(2, 2)
        size = np.sqrt(np.trace(covariance) / 2)
        values, vectors = np.linalg.eigh(covariance)
        ring = 2 * (np.stack((np.cos(turn), np.sin(turn)), 1) * np.sqrt(values.clip(0))) @ vectors.T
        few = arms[name].some.values[:40].reshape(-1, 2)
        rows += [
            (label, what, *p)
            for what, dots in (("steps", few), ("two standard deviations", ring))
            for p in (dots / size).tolist()
        ]
    return [
        figure(
            "Steps lie on a line under SGD, and under normal noise of its covariance",
            "points",
            {"law": "facet", "shown": "color", "x": "x", "y": "y"},
            rows,
            x_title="Δx₁ (its law's size)",
            y_title="Δx₂ (its law's size)",
            note="A law's size is the root mean square of both coordinates' standard deviations.",
        )
    ]


LAWS = {
    "skewed": "SGD on examples of a skewed law, exponential less its mean",
    "full": "the true gradient plus normal noise of SGD's covariance",
    "diag": "plus independent normal noise of SGD's variances",
    "iso": "plus normal noise, equal in all coordinates, of SGD's trace in the pair",
    "linear": "evolution: mutations, accepted the likelier the fitter they truly are",
    "hard": "evolution: mutations, accepted if they are truly fitter",
}
"""Other laws of a step, and what each is made of."""
SHORTER = {"steps": 0.2}
MONTE_CARLO = {"expected": 0.0, "tolerance": 4.0, "unit": "standard errors"}
"""What simulated means are held to: a right one is 4 off with a chance of 6e-5."""
experiment = Experiment(
    arms={
        "main": Arm(
            train, specs=reserved("law", "drift"), note="SGD: minibatches of fresh examples"
        ),
        "epochs": Arm(
            train,
            specs=variant(times=SHORTER, law="epochs", batch=100),
            note=(
                "SGD without replacement: batches of {epochs.batch} of {epochs.examples} "
                "examples, in a new order each epoch"
            ),
        ),
        **{law: Arm(train, specs=changed(law=law), note=note) for law, note in LAWS.items()},
        "es": Arm(
            train,
            specs=variant(times=SHORTER, law="es", drift=0.0),
            note=(
                "an evolution strategy: {es.evaluations} random directions, evaluated on one "
                "minibatch; no true gradient"
            ),
        ),
        "adam": Arm(train, specs=changed(law="adam"), note="Adam on minibatches of fresh examples"),
    },
    measure=measure,
    claims=(
        Exact(
            "SGD's correlation is sign(ac), least of all runs: fresh examples, without "
            "replacement, skewed; and Adam's",
            value=lambda arms: [
                in_their_direction(arms[name]) for name in ("main", "epochs", "skewed", "adam")
            ],
            expected=1.0,
            tolerance=1e-9,
            source="a minibatch's gradient is a number times (a, c)",
        ),
        Exact(
            "What no example moves is conserved by SGD: diffusion of c x₁ − a x₂, that of "
            "isotropic noise being 1; most of all runs",
            value=lambda arms: float(arms["main"].diffusion.max()),
            tolerance=1e-6,
            unit="τ² a step",
            source=COMMENT,
        ),
        Exact(
            "Covariances of one step in nine laws, three entries each, against their closed forms",
            value=errors_of(
                "pair", "main", "epochs", "skewed", "full", "diag", "iso", "linear", "hard", "es"
            ),
            source="closed forms",
            **MONTE_CARLO,
        ),
        Exact(
            "Covariances of one step: normal noise less SGD on skewed examples, three entries",
            value=lambda arms: normal_errors(arms["full"].pair - arms["skewed"].pair),
            source=COMMENT,
            **MONTE_CARLO,
        ),
        Exact(
            "Second moments do not see that examples are skewed, third moments do: skewness "
            "of SGD's steps and of normal noise's",
            value=errors_of("skewness", "skewed", "full"),
            source="cumulants of a mean of independent numbers",
            **MONTE_CARLO,
        ),
        Exact(
            "Mean and variance along the true gradient, linear and hard selection, against "
            "their closed forms",
            value=errors_of("along", "linear", "hard"),
            source="moments of a normal law, whole and halved",
            **MONTE_CARLO,
        ),
    ),
    figures=figures,
    scope=(
        "an example in closed form: two coordinates that every example moves together, a third "
        "with the true gradient, others that nothing moves"
    ),
    seeds_per_group=64,
    smoke=grid(LockStep(steps=400), seed=range(2)),
    default=grid(LockStep(), seed=range(6000, 6064)),
)
