"""The laws of steps by name: how each is drawn, what theory expects of a single step, and a walk
by such steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from assay.core.bench import Bench
from assay.core.fit import Trained, fit
from assay.core.runs import Runs
from assay_catalogue.worlds.steps import noise, optimisers

Name = Literal["sgd", "epochs", "skewed", "adam", "iso", "diag", "full", "hard", "linear", "es"]


@dataclass(frozen=True)
class Law:
    """How steps are made on a slope, and what that needs to know."""

    name: Name
    lr: float
    """Learning rate; mutations are taken as they are."""
    examples: int
    """Examples there are, without replacement."""
    size: float
    """Standard deviation of a mutation in each coordinate."""
    sharpness: float
    """β of linear selection."""
    held: Int[np.ndarray, " run"]
    """Mutations on one minibatch."""
    evaluations: Int[np.ndarray, " run"]
    """Random directions on one minibatch."""

    @property
    def scale(self) -> float:
        """What a gradient is multiplied by to make a step."""
        return 1.0 if self.name in ("hard", "linear") else self.lr


def source(slope: optimisers.Slope, law: Law) -> optimisers.Source:
    """Gradients, or steps, of this law, a stretch of time each."""
    if law.name in ("hard", "linear"):
        return optimisers.mutations(
            slope, law.size, law.sharpness, law.held, hard=law.name == "hard"
        )
    if law.name == "es":
        return optimisers.strategies(slope, law.evaluations)
    if law.name in ("iso", "diag", "full"):
        shapes = [_of_run(slope, law, r)[1] for r in range(len(slope.seeds))]
        return optimisers.added_noise(slope, np.stack([noise.root(c) for c in shapes]))
    if law.name == "epochs":
        return optimisers.epochs(slope, law.examples)
    return optimisers.minibatches(slope, "exponential" if law.name == "skewed" else "normal")


def expected(
    slope: optimisers.Slope, law: Law
) -> tuple[Float[np.ndarray, "run n"], Float[np.ndarray, "run n n"]]:
    """Mean and covariance of one step of every run; of Adam's, of the gradients it is given.

    NaN for hard selection on examples that differ, with a true gradient beside: no closed form is
    known."""
    moments = [_of_run(slope, law, r) for r in range(len(slope.seeds))]
    mean, covariance = (np.stack(part) for part in zip(*moments, strict=True))
    return -law.scale * mean, law.scale**2 * covariance


def _of_run(slope: optimisers.Slope, law: Law, r: int) -> tuple[np.ndarray, np.ndarray]:
    gradient = np.zeros(slope.n)
    gradient[2] = slope.drift
    examples = noise.lock_step(float(slope.a[r]), float(slope.c[r]), slope.spread, slope.n)
    sampled = examples * noise.sampling_factor(
        slope.batch, law.examples if law.name == "epochs" else None
    )
    if law.name == "hard":
        if slope.spread and slope.drift:  # no closed form is known
            return np.full(slope.n, np.nan), np.full((slope.n, slope.n), np.nan)
        direction = np.zeros(slope.n)
        direction[:2] = slope.a[r], slope.c[r]
        held = int(law.held[r])
        return (
            noise.hard_selection_on_examples(direction, law.size, held)
            if slope.spread
            else noise.hard_selection(gradient, law.size)
        )
    if law.name == "linear":
        return noise.linear_selection(gradient, sampled, law.size, law.sharpness, int(law.held[r]))
    if law.name == "es":
        return noise.evolution_strategy(gradient, sampled, int(law.evaluations[r]))
    shaped = {"iso": noise.isotropic(sampled, 2), "diag": noise.diagonal(sampled)}
    return gradient, shaped.get(law.name, sampled)


PARTS = 20
"""Parts of a walk, each drawn at once."""


@dataclass(frozen=True)
class Moments:
    """Moments of a walk's steps, and what is expected of them."""

    mean: Float[np.ndarray, "run n"]
    mean_expected: Float[np.ndarray, "run n"]
    covariance: Float[np.ndarray, "run n n"]
    covariance_expected: Float[np.ndarray, "run n n"]
    skewness: Float[np.ndarray, " run"]
    """Of the first coordinate, in the direction of the examples'."""
    path: Float[np.ndarray, "run moment"]
    """The combination that no example moves, after each part."""


def walk(runs: Runs, slope: optimisers.Slope, law: Law, bench: Bench) -> Trained:
    """Take all steps of every run; the slope's `times` are the steps of one part."""
    group = optimisers.walk(runs, slope, PARTS, lr=law.scale, adam=law.name == "adam")
    return fit([group], source(slope, law), steps=PARTS, bench=bench)[0]


def moments(trained: Trained, slope: optimisers.Slope, law: Law) -> Moments:
    """Moments of one step over each run, measured and by closed form; of Adam's, the closed form is
    of the gradients it is given."""
    measured = optimisers.moments(trained.tensors, slope, PARTS * slope.times)
    mean, covariance = expected(slope, law)
    return Moments(
        measured["mean"],
        mean,
        measured["covariance"],
        covariance,
        measured["skewness"],
        measured["path"],
    )


def pair(covariance: Float[np.ndarray, "run n n"]) -> Float[np.ndarray, "run entry"]:
    """Variance, covariance and variance of the first two coordinates."""
    return np.stack([covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]], 1)
