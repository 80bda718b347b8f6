"""Planted worlds for selection-noise: curves of which its exact statements are true, and curves of
which each is violated.

`tests/claims/test_catalogue_bar.py` verifies every statement in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from planted_arms import planted_arms

from assay.core.bench import Unkept
from assay.core.errors import SpecError
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.lab.plan.preset import override
from assay_catalogue.experiments.selection_noise import (
    EVALUATIONS,
    MUTATIONS,
    SelectionNoise,
    experiment,
    points,
)


@dataclass(frozen=True)
class World:
    """Per arm how far measured correlations lie from their closed forms, and these at one trial
    from 0."""

    off: dict = field(default_factory=dict)
    at_one: dict = field(default_factory=dict)

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs, rng = (
            Runs(experiment.specs_of(arm, experiment.default)),
            np.random.default_rng(stream),
        )
        trials = runs.each("trials")
        wanted = 1 - trials**-0.5 + self.at_one.get(arm, 0.0) * (trials == 1)
        found = wanted + self.off.get(arm, 0.0) + rng.normal(0, 0.002, len(runs))
        return measures(
            runs, correlation=("run", found, "1"), correlation_expected=("run", wanted, "1")
        )


WORLD = World()

# exact statement → a world in which it is violated
CASES = {
    "With one mutation": World(at_one={"hard": 0.01}),
    "Correlation at every K under linear": World(off={"main": 0.01}),
    "Correlation at every K under hard": World(off={"hard": 0.01}),
    "Correlation at every P": World(off={"es": 0.01}),
}


def test_every_point_of_the_curves_has_every_seed():
    arms = WORLD.arms()
    for name, levels in {"main": MUTATIONS, "hard": MUTATIONS, "es": EVALUATIONS}.items():
        found = {(c, k): a.sizes["run"] for c, k, a in points(arms[name])}
        assert found == {(c, k): 24 for c in (1.0, 2.0) for k in levels}, name


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"trials": 0}, "SelectionNoise.trials must be at least 1, got 0"),
        ({"sharpness": 10.0}, "SelectionNoise.sharpness × mutation is too large to stay linear"),
        ({"steps": 30}, "SelectionNoise.steps must be a multiple of 20"),
        ({"mutation": 0.0}, "SelectionNoise.mutation must be positive, got 0"),
        ({"a": 0.0}, "SelectionNoise.a must not be 0"),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError) as e:
        SelectionNoise(**wrong)
    assert said in str(e.value) and "\n" not in str(e.value)


def test_what_arms_set_cannot_be_set():
    with pytest.raises(SpecError, match=r"SelectionNoise\.law is for arms to set"):
        override(experiment, "smoke", ["law=es"])


@pytest.mark.parametrize("arm", list(experiment.arms))
def test_a_run_alone_is_the_run_among_others(arm):
    specs = experiment.specs_of(arm, experiment.smoke)[-3:]
    a = experiment.arms[arm]
    together, alone = (
        experiment.measure(runs, a.train(runs, Unkept()), Unkept())
        for runs in (Runs(specs), Runs(specs[-1:]))
    )
    for name, values in alone.data_vars.items():
        np.testing.assert_allclose(
            values[0], together[name][-1], rtol=1e-4, atol=1e-7, err_msg=str(name)
        )
