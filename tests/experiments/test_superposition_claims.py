"""Planted worlds for superposition: measures in which its claims hold, fail, and are made vacuous by their controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this experiment's own is tested here.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.claims import Claim, Exact
from assay.core.findings import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.superposition import experiment

STEPS = [4000, 8000]
SHARE = 1 - 5 / 20
"""What five principal components of twenty equal features leave."""


def variance(p):
    """Variance of a uniform number on [0, 1] that is present with probability p: E x² − (E x)²."""
    return p / 3 - (p / 2) ** 2


@dataclass(frozen=True)
class World:
    """Per arm: features represented at the sparsest inputs and elsewhere, and held-out loss over the linear optimum."""

    sparse: dict = field(default_factory=lambda: {"main": 20, "linear": 5, "linear-again": 5})
    dense: dict = field(default_factory=lambda: {"main": 0, "linear": 0, "linear-again": 0})
    loss: dict = field(default_factory=lambda: {"main": 0.16, "linear": 1.0, "linear-again": 1.0})
    half: float = 1.0
    """Training loss at half time over that at the end."""
    inputs: float = 1.0
    """Variance of the inputs over p/3 − p²/4."""

    def arms(self) -> dict:
        return {arm: self.measures(arm, i) for i, arm in enumerate(experiment.arms)}

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, p = np.random.default_rng(stream), runs.each("density")
        count = np.where(p == 0.01, self.sparse[arm], self.dense[arm]) + rng.integers(0, 2, len(runs))
        held_out = self.loss[arm] * SHARE * variance(p) * np.exp(rng.normal(0, 0.01, len(runs)))
        return measures(
            runs,
            coords={"step": STEPS},
            loss=("run step", held_out[:, None] * [self.half, 1.0], "squared input"),
            held_out=("run", held_out, "squared input"),
            input_variance=("run", self.inputs * variance(p), "squared input"),
            represented=("run feature", np.arange(20) < count[:, None], "bool"),
        )


WORLD = World()
EVERYWHERE = dict.fromkeys(experiment.arms, 20)
FEW = dict.fromkeys(experiment.arms, 5)

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "At density 0.01 at least 1.5": (replace(WORLD, sparse=FEW), {"linear": replace(WORLD, sparse=EVERYWHERE)}),
    "From the densest to the sparsest": (
        replace(WORLD, dense={"main": 15, "linear": 0, "linear-again": 0}),
        {"linear": replace(WORLD, sparse=EVERYWHERE)},
    ),
    "At density 0.01 the ReLU model's held-out loss": (
        replace(WORLD, loss={"main": 0.98, "linear": 1.0, "linear-again": 1.0}),
        {"linear-again": replace(WORLD, loss={"main": 0.16, "linear": 1.0, "linear-again": 0.3})},
    ),
    "At density 0.01 the linear model reaches": (
        replace(WORLD, loss={"main": 0.16, "linear": 1.3, "linear-again": 1.0}),
        {"main": replace(WORLD, loss=dict.fromkeys(experiment.arms, 1.0))},
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]
EXACT = [c for c in experiment.claims if isinstance(c, Exact)]


def claim_of(start: str) -> Claim:
    [found] = [c for c in CLAIMS if c.text.startswith(start)]
    return found


@pytest.mark.parametrize("start", CASES)
def test_a_loss_that_still_falls_decides_nothing(start):
    verdict = judge(claim_of(start), replace(WORLD, half=1.2).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


@pytest.mark.parametrize(("inputs", "outcome"), [(1.01, "exact"), (1.2, "violated")])
def test_the_variance_of_the_inputs_is_checked(inputs, outcome):
    assert [verify(e, replace(WORLD, inputs=inputs).arms()).outcome for e in EXACT] == [outcome]
