"""Every claim of clt-faithful can hold, can fail, and can be made unspecific by its controls;
planted measures, nothing trained."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from named_claims import claim_of

from assay.core import Exact, Runs, judge
from assay.core.estimates import verify
from assay.core.measures import measures
from assay_catalogue.experiments.clt_faithful import experiment
from assay_catalogue.experiments.clt_faithful.claims import beyond, judged

CREDITED = {
    "main": 0.7,
    "half": 0.65,
    "from-faithful": 0.33,
    "from-faithful-half": 0.3,
    "from-rewritten": 0.85,
    "summed": 0.2,
    "dense": 0.2,
    "one-hop": 0.5,
    "tanh": 0.3,
    "rewritten": 1.0,
    "known-rewritten": 1.0,
}
"""At the judged penalty, where it is not 0."""
FREE = 0.2
"""Without a penalty, in arms that begin at random."""
ASTRAY = {
    "main": 0.9,
    "half": 0.88,
    "plt": 0.35,
    "plt-half": 0.34,
    "from-faithful": 0.5,
    "from-faithful-half": 0.48,
    "from-rewritten": 0.98,
    "summed": 0.45,
    "dense": 0.5,
    "tanh": 0.4,
    "exchanged": 0.1,
    "exchanged-half": 0.1,
    "one-hop": 0.12,
    "plt-one-hop": 0.03,
    "summed-faithful": 0.1,
    "unmoved": 0.08,
    "shuffled": 1.1,
    "untrained": 1.0,
    "faithful": 0.01,
    "rewritten": 1.0,
    "known-faithful": 0.0,
    "known-rewritten": 1.0,
}
AT_RANDOM = ("main", "half", "summed")
KNOWN = {"known-faithful": (0.75, 0.75, 0.0), "known-rewritten": (0.625, (4 + 2**0.5) / 8, 1.0)}


@dataclass(frozen=True)
class World:
    """What first-layer features are credited with and how far responses go astray, where it differs
    from the above."""

    credited: dict = field(default_factory=dict)
    astray: dict = field(default_factory=dict)
    free: dict = field(default_factory=dict)
    active: float = 0.625

    def arms(self) -> dict:
        return {arm: self.measures(arm, i) for i, arm in enumerate(experiment.arms)}

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng = np.random.default_rng(stream)
        penalty = np.array([s.penalty for s in runs.specs])
        credited = np.full(len(runs), (CREDITED | self.credited).get(arm, 0.0))
        if arm in AT_RANDOM or arm in self.free:
            credited[penalty == 0] = self.free.get(arm, FREE)
        astray, noise = np.full(len(runs), (ASTRAY | self.astray)[arm]), 0.02
        fvu = 0.5 * penalty**2 + 1e-9
        if arm in ("shuffled", "untrained"):  # which reconstruct nothing
            fvu = fvu * 0 + 2.0
        active, cost = np.array([0.5, 0.5]), 0.7
        if arm == "summed-faithful":
            noise = 0.0  # nothing moves it
        if arm in KNOWN:
            noise, fvu = 0.0, 0 * fvu
            total, cost, _ = KNOWN[arm]
            active = np.array([total if arm == "known-faithful" else self.active, 0.0])
        many = len(runs)

        def near(x):
            return ("run", x + noise * rng.normal(size=many), "1")

        return measures(
            runs,
            coords={"layer": ["first", "second"]},
            credited=near(credited),
            astray=near(astray),
            credited_second=near(1 - credited),
            followed=near(1 - astray),
            fvu=("run", fvu, "FVU"),
            apart=("run", 5 * fvu, "answers"),
            active=("run layer", np.tile(active, (many, 1)), "features"),
            cost=("run", np.full(many, cost), "length"),
            fvu_layer=("run layer", np.stack([fvu, fvu], 1), "FVU"),
        )


WORLD = World()

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "A cross-layer transcoder rewrites": (
        World(credited={"main": 0.02, "half": 0.02}),
        {
            arm: World(credited={arm: 0.6})
            for arm in ("exchanged", "faithful", "plt", "shuffled", "untrained")
        },
    ),
    "Sparsity rewards it": (
        World(credited={"from-faithful": 0.02, "from-faithful-half": 0.02}),
        {arm: World(credited={arm: 0.4}) for arm in ("unmoved", "summed-faithful")},
    ),
    "The more sparsity": (
        World(free={"main": 0.68, "half": 0.66}),
        {
            "summed": World(free={"summed": 0.0}),
            "exchanged": World(credited={"exchanged": 0.5}, free={"exchanged": 0.0}),
        },
    ),
    "The replacement model is unfaithful": (
        World(astray={"main": 0.36, "half": 0.36}),
        {
            "summed-faithful": World(astray={"summed-faithful": 0.9}),
            "one-hop": World(astray={"one-hop": 0.8}),
            "exchanged": World(astray={"exchanged": 0.9}),
        },
    ),
    "Trained where the first hop": (
        World(astray={"exchanged": 0.6, "exchanged-half": 0.6}),
        {arm: World(astray={arm: 0.1}) for arm in ("main", "plt", "rewritten")},
    ),
    "Per-layer transcoders are not": (
        World(astray={"plt": 0.1, "plt-half": 0.1}),
        {arm: World(astray={arm: 0.5}) for arm in ("summed-faithful", "exchanged", "faithful")},
    ),
}


def test_it_is_compared_with_per_layer_transcoders_where_these_have_the_same_error():
    arms = World().arms()
    plt = arms["plt"].copy(deep=True)
    plt["astray"][:] = np.log(
        plt.fvu.values
    )  # a line in log FVU, so what stands between two penalties is known
    main = arms["main"].copy(deep=True)
    main["fvu"][:] = 3e-3
    found = beyond(main, arms | {"plt": plt})
    np.testing.assert_allclose(found, judged(main, "astray") - np.log(3e-3), rtol=1e-6)


def test_an_arm_of_one_penalty_is_read_at_it_and_others_at_the_judged_one():
    arms = World(credited={"dense": 0.4}).arms()
    assert judged(arms["dense"], "credited").mean() == pytest.approx(0.4, abs=0.02)
    assert judged(arms["main"], "credited").mean() == pytest.approx(0.7, abs=0.02)


def test_a_planted_rewriting_that_is_not_found_takes_the_verdict_away():
    claim = claim_of(experiment, "A cross-layer transcoder rewrites")
    assert judge(claim, WORLD.arms()).verdict.outcome == "holds"
    missed = judge(claim, World(credited={"rewritten": 0.0}).arms()).verdict
    assert missed.outcome == "undecided" and "rewritten" in missed.reason


def test_what_reconstructs_little_says_nothing_of_per_layer_transcoders():
    claim = claim_of(experiment, "Per-layer transcoders are not")
    found = judge(claim, WORLD.arms())
    assert found.verdict.outcome == "holds"
    assert not {"shuffled", "untrained"} & {*found.also}


def test_what_is_exact():
    statements = [e for e in experiment.claims if isinstance(e, Exact)]
    assert {verify(e, WORLD.arms()).outcome for e in statements} == {"exact"}
    [least] = [e for e in statements if "5/8" in e.text]
    assert verify(least, World(active=0.75).arms()).outcome == "violated"
    [nothing] = [e for e in statements if e.text.startswith("Paid for one by one")]
    assert verify(nothing, World(credited={"summed-faithful": 1e-6}).arms()).outcome == "violated"


def test_beyond_the_sweep_of_per_layer_transcoders_nothing_is_said():
    arms = World().arms()
    low, high = judged(arms["plt"], "fvu"), arms["plt"].fvu.max()
    assert np.isfinite(beyond(arms["main"], arms)).all() and np.allclose(
        judged(arms["main"], "fvu"), low
    )
    for fvu in (1e3 * float(high), float(arms["plt"].fvu.min()) / 1e3):
        off = arms["main"].assign(fvu=0 * arms["main"].fvu + fvu)
        assert np.isnan(beyond(off, arms)).all(), (
            "no per-layer transcoder has this error, and the nearest one is not compared in "
            "its place"
        )
