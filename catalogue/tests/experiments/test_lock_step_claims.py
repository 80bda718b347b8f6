"""Planted worlds for lock-step: steps of which its exact statements are true, and steps of which
each is violated.

`tests/claims/test_catalogue_bar.py` verifies every statement in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from planted_arms import planted_arms

from assay.core.bench import Unkept
from assay.core.claims import Exact
from assay.core.errors import SpecError
from assay.core.estimates import verify
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.lab.plan.preset import override
from assay_catalogue.experiments.lock_step import LockStep, experiment

LOCKED = ("main", "epochs", "skewed", "full", "adam")
PAIR = np.array([4.0, -6.0, 9.0])
"""Variances and covariance of the pair under SGD, in some unit."""
PAIRS = {"diag": PAIR * [1, 0, 1], "iso": np.array([6.5, 0, 6.5])}


@dataclass(frozen=True)
class World:
    """Per arm what its steps are like; what an arm does not name is as theory has it."""

    correlation: dict = field(default_factory=dict)
    pair: dict = field(default_factory=dict)
    skewness: dict = field(default_factory=dict)
    diffusion: dict = field(default_factory=dict)
    off: dict = field(default_factory=dict)
    """Per arm how far every number with a closed form lies from it, as a share."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs, rng = (
            Runs(experiment.specs_of(arm, experiment.default)),
            np.random.default_rng(stream),
        )
        n, off = len(runs), self.off.get(arm, 0.0)
        noise = rng.normal(0, 0.002, n)
        exact = self.correlation.get(arm, {"es": 0.955}.get(arm, float(arm in LOCKED)))
        r = np.where(exact == 1, 1.0, exact + noise) * np.sign(runs.each("a") * runs.each("c"))
        pair = self.pair.get(arm, PAIRS.get(arm, PAIR)) + rng.normal(0, 0.05, (n, 3))
        along = np.array([-0.1, 0.3]) * (1 + rng.normal(0, 0.01, (n, 2)))
        skewness = 0.707 if arm == "skewed" else 0.0
        return measures(
            runs,
            correlation=("run", r, "1"),
            pair=("run entry", pair, "squared step"),
            pair_expected=("run entry", pair.mean(0) * np.ones((n, 1)) * (1 + off), "squared step"),
            along=("run moment", along, "step"),
            along_expected=("run moment", along.mean(0) * np.ones((n, 1)) * (1 + off), "step"),
            skewness=("run", self.skewness.get(arm, skewness) + noise - noise.mean(), "1"),
            skewness_expected=("run", np.full(n, skewness), "1"),
            diffusion=(
                "run",
                np.full(n, self.diffusion.get(arm, {"iso": 1.0, "diag": 0.85}.get(arm, 1e-30))),
                "τ² a step",
            ),
            some=("run kept axis", rng.normal(size=(n, 4, 2)), "step"),
        )


WORLD = World()

# exact statement → a world in which it is violated
CASES = {
    "SGD's correlation": World(correlation={"epochs": 0.99}),
    "What no example moves": World(diffusion={"main": 1.0}),
    "Covariances of one step in nine laws": World(off={"es": 0.05}),
    "Covariances of one step: normal noise": World(pair={"full": PAIR * 1.05}),
    "Second moments do not see": World(skewness={"full": 0.7}),
    "Mean and variance along": World(off={"hard": 0.05}),
}


@pytest.mark.parametrize(
    "arm", ["main", "epochs", "skewed", "full", "diag", "iso", "linear", "hard", "es"]
)
def test_the_covariance_of_each_law_is_compared_with_its_closed_form(arm):
    [nine] = [e for e in experiment.claims if isinstance(e, Exact) and "nine laws" in e.text]
    assert verify(nine, World(off={arm: 0.05}).arms()).outcome == "violated"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"batch": 1001},
            "LockStep.batch must be at most the 1000 examples that there are, got 1001",
        ),
        ({"coordinates": 3}, "LockStep.coordinates must be at least 4, got 3"),
        ({"evaluations": 0}, "LockStep.evaluations must be at least 1, got 0"),
        (
            {"law": "linear", "sharpness": 30.0},
            "LockStep.sharpness × mutation is too large to stay linear",
        ),
        ({"steps": 30}, "LockStep.steps must be a multiple of 20"),
        ({"mutation": 0.0}, "LockStep.mutation must be positive, got 0"),
        ({"c": 0.0}, "LockStep.c must not be 0"),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError) as e:
        LockStep(**wrong)
    assert said in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize("setting", ["drift=0", "law=iso"])
def test_what_arms_set_cannot_be_set(setting):
    with pytest.raises(SpecError, match=f"LockStep.{setting.partition('=')[0]} is for arms to set"):
        override(experiment, "smoke", [setting])


def test_what_only_an_arm_cannot_do_is_told_before_anything_is_trained():
    with pytest.raises(SpecError, match="sharpness × mutation is too large"):
        experiment.specs_of("linear", tuple(s.replace(sharpness=30.0) for s in experiment.smoke))


@pytest.mark.parametrize("arm", ["epochs", "linear", "es"])
def test_a_run_alone_is_the_run_among_others(arm):
    specs = experiment.specs_of(arm, experiment.smoke)[-2:]
    a = experiment.arms[arm]
    together, alone = (
        experiment.measure(runs, a.train(runs, Unkept()), Unkept())
        for runs in (Runs(specs), Runs(specs[-1:]))
    )
    for name, values in alone.data_vars.items():
        np.testing.assert_allclose(
            values[0], together[name][-1], rtol=1e-4, atol=1e-7, err_msg=str(name)
        )


class Killed(Exception):
    """What a run dies of."""


class Cut(Unkept):
    """Keeps what is saved after every part, and dies after the third."""

    def __init__(self):
        self.kept = None
        self.dies = True

    def restore(self):
        return self.kept

    def due(self):
        return True

    def save(self, step, tensors):
        self.kept = (step, {k: v.clone() for k, v in tensors.items()})
        if step == 3 and self.dies:
            self.dies = False
            raise Killed


@pytest.mark.parametrize("arm", ["main", "adam", "es"])
def test_a_run_that_was_killed_goes_on_exactly(arm):
    runs = Runs(experiment.specs_of(arm, experiment.smoke))
    bench = Cut()
    with pytest.raises(Killed):
        experiment.arms[arm].train(runs, bench)
    resumed, whole = (
        experiment.arms[arm].train(runs, bench),
        experiment.arms[arm].train(runs, Unkept()),
    )
    for name, tensor in whole.tensors.items():
        assert torch.equal(resumed.tensors[name], tensor), name
