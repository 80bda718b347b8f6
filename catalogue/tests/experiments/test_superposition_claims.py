"""Planted worlds for superposition: measures in which its claims hold, fail, and are made vacuous
by their controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from named_claims import claim_of
from planted_arms import planted_arms

from assay.core.claims import Exact
from assay.core.estimates import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.superposition import experiment

STEPS = [4000, 8000]
SHARE = 1 - 5 / 20
"""What five principal components of twenty equal features leave."""


def variance(p):
    """Variance of a uniform number on [0, 1] that is present with probability p: E x² − (E x)²."""
    return p / 3 - (p / 2) ** 2


@dataclass(frozen=True)
class World:
    """Per arm: features represented at the sparsest inputs and elsewhere, and held-out loss over
    the linear optimum."""

    sparse: dict = field(default_factory=lambda: {"main": 19})
    """One in six where an arm is not named."""
    dense: dict = field(default_factory=dict)
    loss: dict = field(default_factory=lambda: {"main": 0.16, "drawn": 0.62})
    half: float = 1.0
    """Training loss at half time over that at the end."""
    inputs: float = 1.0
    """Variance of the inputs over p/3 − p²/4."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, p = np.random.default_rng(stream), runs.each("density")
        count = np.where(p == 0.01, self.sparse.get(arm, 2), self.dense.get(arm, 0)) + rng.integers(
            0, 2, len(runs)
        )
        held_out = (
            self.loss.get(arm, 1.0) * SHARE * variance(p) * np.exp(rng.normal(0, 0.01, len(runs)))
        )
        return measures(
            runs,
            coords={"step": STEPS},
            loss=("run step", held_out[:, None] * [self.half, 1.0], "squared input"),
            held_out=("run", held_out, "squared input"),
            input_variance=("run", self.inputs * variance(p), "squared input"),
            represented=("run feature", np.arange(20) < count[:, None], "bool"),
        )


WORLD = World()


def but(of: str, **changes) -> World:
    """The world with other numbers for some arms."""
    return replace(
        WORLD, **{of: getattr(WORLD, of) | {arm.replace("_", "-"): x for arm, x in changes.items()}}
    )


# claim → (the world without the effect, {control: a world in which it passes too})
MANY = {arm: but("sparse", **{arm: 19}) for arm in ("drawn", "linear")}
CASES = {
    "At density 0.01 at least 1.5": (but("sparse", main=3), MANY),
    "From the densest to the sparsest": (but("dense", main=15), MANY),
    "At density 0.01 the ReLU model's held-out loss": (
        but("loss", main=0.9),
        {"drawn": but("loss", drawn=0.3), "linear-again": but("loss", linear_again=0.3)},
    ),
}
EXACT = [c for c in experiment.claims if isinstance(c, Exact)]


@pytest.mark.parametrize("start", CASES)
def test_a_loss_that_still_falls_decides_nothing(start):
    verdict = judge(claim_of(experiment, start), replace(WORLD, half=1.2).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


@pytest.mark.parametrize(("inputs", "outcome"), [(1.01, "exact"), (1.2, "violated")])
def test_the_variance_of_the_inputs_is_checked(inputs, outcome):
    assert [verify(e, replace(WORLD, inputs=inputs).arms()).outcome for e in EXACT] == [outcome]
