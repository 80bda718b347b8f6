"""Planted worlds for s-curves: measures in which its claims hold, fail, and are made vacuous by
their controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from named_claims import claim_of
from planted_arms import planted_arms

from assay.core.errors import SpecError
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.core.spec import grid
from assay.lab.plan.preset import override
from assay_catalogue.experiments.s_curves import experiment
from assay_catalogue.experiments.s_curves.claims import several
from assay_catalogue.experiments.s_curves.method import PROMINENCES, SCurves, measure, train

SHALLOW = {1: 0.06, 2: 0.15, 10: 2.0, 100: 30.0}
"""Plateau depths from a start of 0.5, did not 1 mean none at all; they fall as its square and a
bit."""


def by_rank(start):
    return {rank: min(1.0, depth * (start / 0.5) ** 2.3) for rank, depth in SHALLOW.items()}


def alike(start):
    return dict.fromkeys(SHALLOW, by_rank(start)[1])


def flat(depth):
    return lambda start: dict.fromkeys((1, 2, 10, 100), depth)


def whatever(start):
    return {1: 0.01, 2: 0.05, 10: 0.25, 100: 1.0}


@dataclass(frozen=True)
class World:
    """Per arm, where it is not named what a plain factorisation would show: depth by start and
    rank, shares of seeds that drop twice, loss left, distance from the target."""

    depth: dict = field(default_factory=dict)
    twice: dict = field(default_factory=dict)
    left: dict = field(default_factory=dict)
    off: dict = field(default_factory=dict)
    predicted: dict = field(
        default_factory=lambda: {0.1: 240.0, 0.2: 215.0, 0.3: 200.0, 0.4: 190.0, 0.5: 180.0}
    )
    half: float = 1.0
    """How many of the second drops are seen at half time already."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        s, rng, starts = runs.shared, np.random.default_rng(stream), runs.each("start")
        noise = lambda: np.exp(rng.normal(0, 0.01, (len(runs), len(s.ranks))))  # noqa: E731
        depth = (
            np.array([[self.depth.get(arm, by_rank)(x)[r] for r in s.ranks] for x in starts])
            * noise()
        )
        place = rng.permutation(len(runs))[:, None] + 0.5
        second = np.array([self.twice.get(arm, {}).get(r, 0.0) for r in s.ranks]) * len(runs)
        left = np.array([self.left.get(arm, {}).get(r, 1e-6) for r in s.ranks]) * noise()
        predicted = np.array([self.predicted.get(x, 200.0) for x in starts])
        t50 = np.broadcast_to(240.0 * (starts[:, None] / 0.1) ** -0.18, left.shape) * noise()
        return measures(
            runs,
            coords={"rank": s.ranks, "time": [1, s.steps - 1], "prominence": PROMINENCES},
            depth=("run rank", depth, "share"),
            drops=("run rank prominence", alike_at_all(1 + (place < second)), "drops"),
            drops_half=(
                "run rank prominence",
                alike_at_all(1 + (place < self.half * second)),
                "drops",
            ),
            t90=("run rank", 0.8 * t50, "steps"),
            t50=("run rank", t50, "steps"),
            t10=("run rank", 1.2 * t50, "steps"),
            left=("run rank", left, "share"),
            off=("run rank", np.full(left.shape, self.off.get(arm, 1e-3)) * noise(), "share"),
            curve=("run rank time", np.stack([np.ones(left.shape), left], -1), "share"),
            predicted=("run", predicted, "steps"),
        )


def alike_at_all(drops):
    """Drops that are as many at every prominence."""
    return np.repeat(drops[..., None], len(PROMINENCES), axis=-1)


TWICE = {
    "ce": {1: 0.05, 2: 0.85, 10: 0.5},
    "small": {2: 0.05},
    "ce-free": {},
    "one-sign": {1: 0.05},
}
WORLD = World(
    depth={
        "free": flat(1.0),
        "free-adam": flat(1.0),
        "ce-free": flat(1.0),
        "ce-full": lambda start: {1: 0.01, 100: 0.99},
    },
    twice=TWICE,
    left={
        "steep": {2: 0.002, 10: 0.035},
        "ce": {10: 0.007},
        "ce-long": {10: 1e-5},
        "raw": {10: -4.0},
    },
    off={"raw": 400.0, "normalised": 0.7},
)


def world(**changed):
    """WORLD with entries of its tables replaced."""
    return replace(WORLD, **{name: getattr(WORLD, name) | new for name, new in changed.items()})


FAINT = world(twice={"ce": {1: 0.05, 2: 0.45}})
"""Second drops that are rare enough to show that as few as these are found."""
CASES = {
    "At rank 1 the loss stands": (
        world(depth={"main": flat(0.5)}),
        {"rank-ten": world(depth={"main": alike}), "full-rank": world(depth={"main": alike})},
    ),
    "From starts of 0.1 to 0.3": (
        world(depth={"main": flat(0.5)}),
        {"dealt": world(depth={"main": whatever}), "free": world(depth={"free": by_rank})},
    ),
    "A smaller start makes": (
        world(depth={"main": flat(0.05)}),
        {"full-rank": world(depth={"main": alike}), "free": world(depth={"free": by_rank})},
    ),
    "One scalar tells when": (
        world(predicted={0.1: 300.0}),
        {"other-start": replace(WORLD, predicted=dict.fromkeys(WORLD.predicted, 240.0))},
    ),
    "Under Adam, too": (
        world(depth={"adam": flat(0.5)}),
        {
            "adam-full": world(depth={"adam": alike}),
            "free-adam": world(depth={"free-adam": flat(0.01)}),
        },
    ),
    "It is cross-entropy that does it": (
        FAINT,
        world(twice={"small": {2: 0.7}}),
        {"ce": world(twice={"ce": {2: 0.05}})},
    ),
    "It is rank two that does it": (
        FAINT,
        world(twice={"ce": {1: 0.7, 2: 0.85}}),
        {"ce-two": world(twice={"ce": {1: 0.05, 2: 0.05}})},
    ),
    "Under gradient descent rank 1": (
        world(twice={"ce": {1: 0.6}}),
        world(twice={"ce": {1: 0.7}, "one-sign": {1: 0.7}}),
        {"ce": WORLD},
    ),
    "Rank 10 is hard": (
        world(left={"steep": {2: 0.002, 10: 1e-4}}),
        {
            "steep-two": world(left={"steep": {2: 0.04, 10: 0.035}}),
            "steep-adam": world(left={"steep-adam": {10: 0.03}}),
        },
    ),
    "It is slow there, not stuck": (
        world(left={"ce-long": {10: 0.006}}),
        {"ce": world(left={"ce": {10: 1e-4}})},
    ),
    "Nothing need be normalised": (
        world(off={"generalised": 0.5}),
        {"raw": world(off={"raw": 0.01}), "normalised": world(off={"normalised": 0.01})},
    ),
}


def test_without_the_planted_single_drop_rank_two_cannot_be_named_the_reason():
    judged = judge(
        claim_of(experiment, "It is rank two that does it"), world(twice={"small": {1: 0.8}}).arms()
    )
    assert (judged.verdict.outcome, judged.verdict.reason) == (
        "undecided",
        "planted small not found",
    )


def test_of_the_planted_mixture_two_thirds_are_cross_entropy_on_rows_of_either_sign():
    arms = world(twice={"ce": {1: 1.0}, "one-sign": {1: 0.0}}).arms()
    share = several(1, PROMINENCES[0])(arms["two-to-one"], arms).groupby("seed").mean()
    assert share.values == pytest.approx(np.full(len(share), 2 / 3))
    assert set(share.seed.values) == set(arms["ce"].seed.values)


def test_a_loss_that_has_not_fallen_decides_nothing():
    judged = judge(
        claim_of(experiment, "At rank 1 the loss stands"), world(left={"main": {1: 0.9}}).arms()
    )
    assert judged.verdict.reason == "gate fallen"


def test_drops_seen_only_in_the_second_half_do_not_decide():
    late = replace(world(twice={"small": {2: 0.08}}), half=0.0)
    judged = judge(claim_of(experiment, "It is cross-entropy that does it"), late.arms())
    assert judged.verdict.reason == "gate converged"


# --- bad input, and the whole way on a small one --------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"ranks": (1, 200)}, "no 100 × 100 matrix has rank 200"),
        ({"ranks": (2, 1)}, "rising numbers from 1 on"),
        ({"start": 0.0}, "start must be positive, got 0"),
        ({"lr": -1.0}, "lr must be positive, got -1"),
        ({"steps": 5}, "steps must be at least 20, got 5"),
    ],
)
def test_impossible_specs_are_refused(fields, told):
    with pytest.raises(SpecError, match=told):
        SCurves(**fields)


def test_ranks_that_no_claim_is_about_are_refused_before_anything_is_trained():
    with pytest.raises(SpecError, match=r"must be \(1, 2, 10, 100\) with n=100"):
        override(experiment, "default", ["ranks=1,3,20,60"])
    fewer = override(experiment, "default", ["ranks=1,2,10,50", "n=50"])
    assert {s.n for s in fewer.specs} == {50}


def test_a_step_that_would_blow_up_is_refused_before_training(bench):
    runs = Runs(grid(SCurves(n=20, ranks=(1, 2), steps=20, lr=5.0), seed=range(2)))
    with pytest.raises(
        SpecError, match=r"lr=5 is unstable: the largest stable rate is .*, times 20"
    ):
        train(runs, bench)


def test_a_run_alone_measures_as_in_its_group_and_replicates_differ(bench):
    runs = Runs(
        grid(
            SCurves(n=12, ranks=(1, 3), steps=60, lr=0.1),
            start=(0.1, 0.4),
            seed=(1, 2),
            replicate=(0, 1),
        )
    )
    alone = Runs(runs.specs[5:6])
    together, one = (measure(r, train(r, bench), bench) for r in (runs, alone))
    assert (np.diff(together.drops.values, axis=-1) <= 0).all(), (
        "the more prominent a drop has to be, the fewer there are"
    )
    for name in ("depth", "left", "off", "curve", "predicted"):
        np.testing.assert_allclose(together[name].values[5], one[name].values[0], rtol=1e-5)
    assert len(np.unique(together.predicted.values)) == len(runs)
