"""A walk by a law's steps, drawn in parts, and the moments of its steps beside what theory expects
of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core.bench import Bench
from assay.core.fit import Trained, fit
from assay.core.runs import Runs
from assay.worlds.steps import laws, optimisers

PARTS = 20
"""Parts of a walk, each drawn at once."""


@dataclass(frozen=True)
class Moments:
    """What was found of a walk's steps, and what is expected of them."""

    mean: Float[np.ndarray, "run n"]
    mean_expected: Float[np.ndarray, "run n"]
    covariance: Float[np.ndarray, "run n n"]
    covariance_expected: Float[np.ndarray, "run n n"]
    skewness: Float[np.ndarray, "run"]
    """Of the first coordinate, in the direction of the examples'."""
    path: Float[np.ndarray, "run moment"]
    """The combination that no example moves, after each part."""


def walk(runs: Runs, slope: optimisers.Slope, law: laws.Law, bench: Bench) -> Trained:
    """Take all steps of every run; the slope's `times` are the steps of one part."""
    group = optimisers.walk(runs, slope, PARTS, lr=law.scale, adam=law.name == "adam")
    return fit([group], laws.source(slope, law), steps=PARTS, bench=bench)[0]


def moments(trained: Trained, slope: optimisers.Slope, law: laws.Law) -> Moments:
    """Moments of one step over each run, measured and by closed form; of Adam's, the closed form is
    of the gradients it is given."""
    measured = optimisers.moments(trained.tensors, slope, PARTS * slope.times)
    mean, covariance = laws.expected(slope, law)
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
