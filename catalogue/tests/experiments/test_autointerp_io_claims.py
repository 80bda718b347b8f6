"""Planted worlds for autointerp-io: how well each kind of explanation tells features, neurons and
directions, by arithmetic alone.

Derived controls are made from the planted measures by the experiment's own code.
`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from named_claims import Planted, claim_of

from assay.core import Exact, Runs, judge
from assay.core.estimates import verify
from assay.core.measures import measures
from assay_catalogue.experiments.autointerp_io import experiment
from assay_catalogue.experiments.autointerp_io.claims import FROZEN

PER_FEATURE = {
    "detection_in": 0.80,
    "simulation_in": 0.60,
    "auroc_in": 0.80,
    "auroc_both": 0.84,
    "auroc_with_other": 0.79,
    "auroc_permuted": 0.79,
    "follow_own": 0.80,
    "follow_other": 0.50,
    "follow_another": 0.50,
    "neuron": 0.66,
    "neuron_simulation": 0.45,
    "direction": 0.62,
    "direction_simulation": 0.45,
    "again": 0.62,
    "shuffled": 0.51,
    "detection_out": 0.58,
    "detection_both": 0.81,
}
PER_PAIR = {
    "given_before": 0.60,
    "given_next": 0.68,
    "given_other": 0.52,
    "given_common": 0.53,
    "given_hindsight": 0.75,
    "likely_own": 0.70,
    "likely_other": 0.55,
    "likely_common": 0.56,
}
PER_PLANT = {
    "planted_before": 0.50,
    "planted_next": 0.92,
    "marked_before": 0.98,
    "marked_next": 0.50,
}
LEVELS = PER_FEATURE | PER_PAIR | PER_PLANT
"""In a world where every claim holds."""
FOUND = {"found_in_context": 1.0, "found_on_token": 0.0, "found_on_context": 0.0}
NOTHING = {
    "detection_in": 0.62,
    "simulation_in": 0.45,
    "given_next": 0.52,
    "auroc_both": 0.79,
    "follow_own": 0.50,
}
"""Where the model, or a part of the dictionary, has learned nothing."""
FURTHER = {"again", "detection_out", "detection_both", *PER_PLANT}
"""What only main measures."""


@dataclass(frozen=True)
class World(Planted, of=experiment):
    """The mean of each measure, over features and seeds."""

    levels: dict = field(default_factory=lambda: LEVELS)
    other: dict = field(
        default_factory=lambda: {**dict.fromkeys((*FROZEN, "untrained"), NOTHING), "half": {}}
    )
    """What differs in other arms."""
    count: float = 15.0
    """Features of a seed of which a token leaves their firing open."""
    found: dict = field(default_factory=lambda: FOUND)

    def but(self, **levels) -> "World":
        """Give the same world with some levels replaced."""
        return replace(self, levels=self.levels | levels)

    def where(self, arm, **levels) -> "World":
        """Give the same world with some levels of one arm replaced."""
        return replace(self, other=self.other | {arm: self.other[arm] | levels})

    def measures(self, arm: str):
        rng = np.random.default_rng(list(experiment.arms).index(arm))
        runs = Runs(experiment.specs_of(arm, experiment.default))
        n, s = len(runs), runs.shared
        luck = rng.normal(0, 0.006, (n, 1))  # of a seed, in all that is measured of it
        level = self.levels | self.other.get(arm, {})

        def drawn(name):
            axis, count = (
                ("pair", s.pairs)
                if name in PER_PAIR
                else ("plant", 12)
                if name in PER_PLANT
                else ("feature", s.features)
            )
            return f"run {axis}", level[name] + luck + rng.normal(0, 0.006, (n, count)), "1"

        named = {name: drawn(name) for name in level if arm == "main" or name not in FURTHER}
        named |= {
            "open": ("run", np.full(n, self.count), "features"),
            "loss": ("run step", np.ones((n, 2)), "1"),
        }
        if arm == "main":
            named |= {
                name: ("run", np.full(n, share), "share") for name, share in self.found.items()
            }
        return measures(runs, coords={"step": [0, s.steps]}, **named)


WORLD = World()
PASSES = {
    name: WORLD.where(name, **{k: LEVELS[k] for k in NOTHING}) for name in (*FROZEN, "untrained")
}
"""Worlds in which one of the other arms does as well as main."""
NEURONS, DIRECTIONS = (f"Features are told better than {what}" for what in ("neurons", "random"))
# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Outputs tell": (
        WORLD.but(given_next=0.55),
        {
            "other-promoted": WORLD.but(given_other=0.70),
            "common-next": WORLD.but(given_common=0.70),
            "untrained": PASSES["untrained"],
            "planted-input": WORLD.but(marked_before=0.40),
        },
    ),
    "Outputs add": (
        WORLD.but(auroc_both=0.79),
        {
            "permuted-next": WORLD.but(auroc_permuted=0.83),
            "other-promoted": WORLD.but(auroc_with_other=0.83),
            "untrained": PASSES["untrained"],
        },
    ),
    "A text tells": (
        WORLD.but(follow_own=0.50),
        {"other-following": WORLD.but(follow_another=0.70), "untrained": PASSES["untrained"]},
    ),
    NEURONS: (WORLD.but(neuron=0.79), {"directions": WORLD.but(direction=0.75), **PASSES}),
    "Simulation": (
        WORLD.but(neuron_simulation=0.59),
        {"directions": WORLD.but(direction_simulation=0.55), **PASSES},
    ),
    DIRECTIONS: (WORLD.but(direction=0.79), {"directions-again": WORLD.but(again=0.70), **PASSES}),
    "All of a dictionary": (
        WORLD.but(detection_in=0.62),
        {"directions": WORLD.but(direction=0.75), "untrained": PASSES["untrained"]},
    ),
    "Scores are not empty": (
        WORLD.but(shuffled=0.60),
        {"own-rules": WORLD.but(detection_in=0.50)},
    ),
}


@pytest.mark.parametrize(
    ("begins", "changed"),
    [("Outputs tell", {"given_next": 0.78}), (NEURONS, {"detection_in": 0.97})],
)
def test_a_lead_that_goes_away_with_training_decides_nothing(begins, changed):
    assert (
        judge(claim_of(experiment, begins), WORLD.where("half", **changed).arms()).verdict.reason
        == "gate converged"
    )


def test_few_features_decide_nothing():
    assert (
        judge(
            claim_of(experiment, "Outputs tell"), replace(WORLD, count=2.0).arms()
        ).verdict.outcome
        == "undecided"
    )


def test_where_scores_are_empty_nothing_else_is_decided():
    arms = WORLD.but(shuffled=0.60).arms()
    for begins in ("Outputs add", "Simulation", NEURONS, DIRECTIONS, "All of a dictionary"):
        assert judge(claim_of(experiment, begins), arms).verdict.outcome == "undecided"


def test_a_plant_that_is_not_found_decides_nothing():
    verdict = judge(
        claim_of(experiment, "Outputs tell"), WORLD.but(planted_next=0.51).arms()
    ).verdict
    assert verdict.outcome == "undecided" and "planted-output" in verdict.reason


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("found_in_context", 0.9), ("found_on_token", 0.1), ("found_on_context", 0.1)],
)
def test_a_plant_missed_or_mistaken_violates_the_exact_statement(name, wrong):
    told = [
        verify(e, replace(WORLD, found=FOUND | {name: wrong}).arms()).outcome
        for e in experiment.claims
        if isinstance(e, Exact)
    ]
    assert sorted(told) == ["exact", "exact", "violated"]


def test_a_dictionary_with_a_frozen_part_that_wins_makes_it_unspecific():
    judged = judge(
        claim_of(experiment, "Outputs add"), WORLD.where("frozen-decoder", auroc_both=0.84).arms()
    )
    assert judged.verdict.outcome == "unspecific"


def test_one_dictionary_with_a_frozen_part_that_is_as_good_is_enough():
    verdict = judge(
        claim_of(experiment, "All of a dictionary"),
        WORLD.where("soft-frozen", detection_in=0.79).arms(),
    ).verdict
    assert verdict.outcome == "fails"


def test_one_feature_in_six_with_its_own_rule_is_a_sixth_of_the_way_to_all():
    arms = WORLD.arms()
    main, few = arms["main"].isel(feature=slice(0, 36)), arms["few-own-rules"].shuffled[:, :36]
    own = few.values == main.detection_in.values
    assert (own.sum(1) == 6).all() and (few.values[~own] == main.shuffled.values[~own]).all()
    leak = float(few.mean() - main.shuffled.mean())
    assert leak == pytest.approx(float((main.detection_in - main.shuffled).mean()) / 6, abs=0.003)
