"""Planted worlds for autointerp-io: how well each kind of explanation tells features, neurons and directions, by arithmetic alone.

Derived controls are made from the planted measures by the experiment's own code.
`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this experiment's own is tested here.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.autointerp_io import experiment
from assay.experiments.autointerp_io.scored import GIVEN
from assay.lab.result import with_derived
from named_claims import claim_of

LEVELS = {
    "detection": 0.80, "detection_out": 0.58, "shuffled": 0.51, "shuffled_out": 0.51, "worded": 0.78, "bare": 0.62, "fuzzing": 0.82,
    "simulation": 0.55, "auroc": 0.80, "precision": 0.40, "f1": 0.45, "auroc_out": 0.60, "both": 0.84, "permuted": 0.80, "predicted": 0.55,
    "lineup_in": 0.45, "lineup_out": 0.95, "shuffled_lineup_in": 1 / 3, "shuffled_lineup_out": 1 / 3, "neuron": 0.66, "direction": 0.62,
    "again": 0.62,
    "given_in": 0.60, "given_out": 0.68, "given_other": 0.52, "given_common": 0.53, "given_hindsight": 0.75, "given_likely": 0.66,
    "planted_in": 0.60, "planted_out": 0.92, "marked_in": 0.92, "marked_out": 0.55,
}  # fmt: skip
"""In a world where every claim holds."""
NOTHING = {"given_out": 0.52, "both": 0.80, "detection": 0.62, "lineup_out": 0.40, "auroc": 0.80}
"""Where a model or a dictionary has learned nothing."""


@dataclass(frozen=True)
class World:
    """The mean of each measure, over features and seeds."""

    levels: dict = field(default_factory=lambda: LEVELS)
    bare: dict = field(default_factory=lambda: NOTHING)
    """What differs where the model or the dictionary is untrained."""
    half: dict = field(default_factory=dict)
    """What differs after half the training."""
    found: float = 15.0
    """Token-in-context features of a seed."""

    def but(self, **levels) -> "World":
        """The same world with some levels replaced."""
        return replace(self, levels=self.levels | levels)

    def arms(self) -> dict:
        """The measures that runs of the default preset would have, derived controls included."""
        return with_derived(experiment, {n: self.measures(n) for n, a in experiment.arms.items() if a.train is not None})

    def measures(self, arm: str):
        rng = np.random.default_rng(list(experiment.arms).index(arm))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        n, s = len(runs), runs.shared
        luck = rng.normal(0, 0.01, (n, 1))  # of a seed, in all that is measured of it
        level = self.levels | (self.bare if arm in ("untrained", "start") else self.half if arm == "half" else {})

        def drawn(name):
            axis, count = ("pair", s.pairs) if name in GIVEN else ("feature", s.features)
            return f"run {axis}", level[name] + luck + rng.normal(0, 0.006, (n, count)), "1"

        named = {name: drawn(name) for name in LEVELS}
        named |= {"found": ("run", np.full(n, self.found), "features"), "loss": ("run step", np.ones((n, 2)), "1")}
        return measures(runs, coords={"step": [0, s.steps]}, **named)


WORLD = World()
# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "On a token-in-context": (
        WORLD.but(given_out=0.55),
        {"other-promoted": WORLD.but(given_other=0.70), "common-next": WORLD.but(given_common=0.70), "planted-input": WORLD.but(marked_in=0.50)},
    ),
    "What a feature promotes": (WORLD.but(both=0.80), {"permuted-next": WORLD.but(permuted=0.83)}),
    "Explanations of inputs win": (
        WORLD.but(detection_out=0.80, lineup_out=0.45),
        {"shuffled": WORLD.but(shuffled_lineup_out=0.60)},
    ),
    "A dictionary's features are told by their rules at least 0.05 better than neurons": (
        WORLD.but(neuron=0.79), {"directions": WORLD.but(direction=0.75)}
    ),
    "A dictionary's features are told by their rules at least 0.05 better than random": (
        WORLD.but(direction=0.79), {"directions-again": WORLD.but(again=0.70)}
    ),
    "Scores are not empty": (WORLD.but(shuffled=0.60), {"own-rules": WORLD.but(detection=0.50)}),
}  # fmt: skip


NEURONS, DIRECTIONS = (f"A dictionary's features are told by their rules at least 0.05 better than {what}" for what in ("neurons", "random"))


@pytest.mark.parametrize(("begins", "changed"), [("On a token", {"given_out": 0.61}), (NEURONS, {"detection": 0.67})])
def test_half_the_training_must_not_change_it(begins, changed):
    arms = replace(WORLD, half=changed).arms()
    assert judge(claim_of(experiment, begins), arms).verdict.reason == "gate converged"


def test_few_features_decide_nothing():
    arms = replace(WORLD, found=2.0).arms()
    assert judge(claim_of(experiment, "On a token"), arms).verdict.outcome == "undecided"


def test_where_scores_are_empty_nothing_else_is_decided():
    arms = WORLD.but(shuffled=0.60).arms()
    for begins in ("What a feature", "Explanations of inputs", NEURONS, DIRECTIONS):
        assert judge(claim_of(experiment, begins), arms).verdict.outcome == "undecided"


def test_no_endpoint_is_the_default():
    assert {spec.explainer for spec in (*experiment.default, *experiment.smoke, *experiment.full)} == {"rules"}
