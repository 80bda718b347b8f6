"""A linear autoencoder finds the principal subspace of its data.

Paper: Neural Networks and Principal Component Analysis, "Learning from Examples Without Local
Minima", 1989
Claim: after training, the kept subspace lies within 10 degrees of the planted one
Baselines: flat — the same training on data in which no direction is wider than another, so there is
nothing to find
Cost: 6 s on 2 cores, 8 CPU-seconds, 0.4 GB a process
"""
# An experiment is one file: the header above (read as text), what a run is, train, measure, and the
# claims.
# It runs as it is: `assay run THIS_FILE`. Change it from the top down; `assay plan THIS_FILE` says
# what would run.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from assay import (
    Arm,
    Bench,
    Claim,
    Experiment,
    Figure,
    Measures,
    PerRun,
    Runs,
    Spec,
    Trained,
    changed,
    converged,
    descent,
    fit,
    grid,
    measures,
    normal,
)
from assay.core.heavy import torch

EXAMPLES = 256  # per training step


@dataclass(frozen=True, kw_only=True)
class MyClaim(Spec):
    # Every field is part of a run's name: change one, and these are other runs. PerRun fields may
    # differ within one ensemble. A value outside a field's bounds is refused before anything is
    # trained. Rules between fields go into `def check(self)`.
    lr: PerRun[Annotated[float, Gt(0)]] = 3e-3
    """Learning rate of Adam."""
    inputs: Annotated[int, Ge(1)] = 20
    """Numbers in one example."""
    width: Annotated[int, Ge(1)] = 4
    """Numbers that the autoencoder may keep; also the dimension of the planted subspace."""
    spread: Annotated[float, Gt(0)] = 3.0
    """Standard deviation of the data along the planted subspace; along every other direction it is
    1."""
    steps: Annotated[int, Ge(1)] = 500
    """Training steps."""


def planted(runs: Runs[MyClaim]) -> torch.Tensor:
    """The true subspace of each run, as orthonormal columns [run, inputs, width]; every seed has
    its own."""
    s = runs.shared
    return torch.from_numpy(np.linalg.qr(normal(runs.seeds, "planted", 0, (s.inputs, s.width)))[0])


def train(runs: Runs[MyClaim], bench: Bench) -> Trained:
    # All runs are trained at once: parameters and batches carry a leading run axis, and the loss is
    # one number per run.
    s, basis = runs.shared, planted(runs)

    def batch(
        step: int,
    ) -> torch.Tensor:  # a function of the step alone, so an interrupted run goes on exactly
        x = torch.from_numpy(normal(runs.seeds, "examples", step, (EXAMPLES, s.inputs)))
        return x + (s.spread - 1) * x @ basis @ basis.mT

    def loss(p: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return (x @ p["W"] @ p["W"].mT - x).square().mean((1, 2))

    start = {
        "W": torch.from_numpy(normal(runs.seeds, "start", 0, (s.inputs, s.width)) * np.float32(0.1))
    }
    return fit([descent(runs, start, loss, lr=runs.each("lr"))], batch, steps=s.steps, bench=bench)[
        0
    ]


def measure(runs: Runs[MyClaim], trained: Trained, bench: Bench) -> Measures:
    # Numbers per run, each with its dimensions and unit. What is not measured here cannot be
    # claimed below. A run that diverged is left out by the lab; here it only must not stop the
    # measuring of the others.
    learned_basis = torch.linalg.qr(trained.tensors["W"].cpu().nan_to_num())[0]
    cosines = torch.linalg.svdvals(learned_basis.mT @ planted(runs)).clamp(
        max=1
    )  # of the principal angles, largest cosine first
    return measures(
        runs,
        coords={"step": trained.steps.tolist()},
        angle=("run", torch.rad2deg(cosines[:, -1].acos()).numpy(), "degrees"),
        loss=("run step", trained.history["loss"], "1"),
    )


def figures(arms: Mapping[str, Measures]) -> list[Figure]:
    # Data and a mark; the report draws it.
    angles: dict[str, list] = {
        "arm": [arm for arm in arms for _ in arms[arm].run],
        "angle": [float(a) for m in arms.values() for a in m.angle],
    }
    title = "The widest subspace is found, and nothing is found where there is none"
    return [
        Figure(
            title,
            angles,
            "points",
            x="arm",
            y="angle",
            y_title="largest angle, degrees",
            rules=((10, "threshold"),),
        )
    ]


experiment = Experiment(
    # `main` is the method. The other arm is its control: the same code on data without the effect,
    # where the claim must fail.
    arms={
        "main": Arm(train, note="training on data with a wide subspace"),
        "flat": Arm(
            train,
            specs=changed(spread=1.0),
            note="the same training where no direction is wider than another",
        ),
    },
    measure=measure,
    claims=(
        Claim(
            text=(
                "After training, the largest angle between the kept and the planted subspace is "
                "at most 10 degrees"
            ),
            value=lambda arm, arms: (
                arm.angle
            ),  # one number per seed; the seeds are what is resampled
            high=10,
            empty=85,  # of a random subspace: what comes out where there is nothing to be found
            unit="degrees",
            must_fail=("flat",),
            near={
                "flat": "training that finds some subspace, whatever the data"
            },  # the strongest other explanation
            # also={"arm": "rival: why it may satisfy the claim too"},  # or "same method: why"; one
            # with learned=(), in which nothing was learned, makes the claim unspecific if it does
            gates=(
                converged("loss"),
            ),  # undertraining refutes nothing: without convergence the verdict is undecided
            threshold_from=(
                "theory: 0 degrees at the global minimum, 85 for a random subspace; 10 leaves "
                "room for noise"
            ),
            # no paper prints this angle; where one does: Published(0.5, "paper, table 2",
            # same=False)
            published="new",
            source="Neural Networks and Principal Component Analysis, 1989",
        ),
    ),
    figures=figures,
    # A verdict is about this scope only. Braces hold fields: it stays true when one is
    # set.
    scope="linear autoencoders, normal data of {inputs} numbers, one planted subspace of {width}",
    # Judged seeds start at 1000: choose settings on lower ones, and judge on seeds that no choice
    # has seen.
    smoke=grid(MyClaim(steps=20), seed=range(2)),
    default=grid(MyClaim(), seed=range(1000, 1008)),
)
