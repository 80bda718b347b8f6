"""Planted worlds for llc: measures in which its claims hold, fail, and are made vacuous by their
controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from planted_arms import planted_arms

from assay.core.claims import Claim, Exact
from assay.core.errors import SpecError
from assay.core.estimates import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.analysis.chains import CHECKS
from assay_catalogue.experiments.llc import experiment
from assay_catalogue.experiments.llc.claims import BY_RANK, DEGENERATE, SINGULAR, over_integral
from assay_catalogue.experiments.llc.method import Llc, without_each_bias
from assay_catalogue.worlds.potentials.potential import Known, known

TRAINED = [name for name, arm in experiment.arms.items() if arm.train is not None]
RIGHT = {"main": "coefficient", "singular": "stationary", "settings": "stationary"}


@dataclass(frozen=True)
class World:
    """Per arm: the estimate over what it should be, the share of runs that fail a check, the late
    over the whole estimate."""

    ratio: dict = field(
        default_factory=lambda: {
            "main": 1.02,
            "singular": 0.98,
            "settings": 1.003,
            "localised": 0.7,
            "coarse": 4.0,
        }
    )
    failing: dict = field(
        default_factory=lambda: {
            "main": 0.05,
            "singular": 0.05,
            "settings": 0.05,
            "localised": 0.05,
            "one-rank": 0.05,
            "grid": 0.4,
            "faulty": 1.0,
            "coarse": 1.0,
        }
    )
    seen_without: float = 0.1
    """The share of runs of `coarse` that fail another check as well."""
    late: dict = field(default_factory=dict)
    rises: dict = field(default_factory=lambda: {"main": 1.0, "one-rank": 0.0})
    """How much of the rise from rank to rank is there; in `one-rank` from replicate to
    replicate."""
    of_step: float = 1.0
    """The share of the step's bias on quadratics that there is."""
    of_pull: float = 1.0
    """The same of the pull's."""
    as_limit: bool = False
    """Whether chains at singular minima give λ itself."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures, TRAINED)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng = np.random.default_rng(stream)
        every = [known(r.potential, r.n_beta, r.localisation, min(r.lr, 0.01)) for r in runs]
        numbers = dict(zip(Known._fields, np.array(every).T, strict=True))
        no_step, no_pull = np.array(
            [without_each_bias(r.replace(lr=min(r.lr, 0.01))) for r in runs]
        ).T
        bias_of_step, bias_of_pull = (
            numbers["stationary"] - no_step,
            numbers["stationary"] - no_pull,
        )
        numbers["no_step"], numbers["no_pull"] = (
            no_step + (1 - self.of_step) * bias_of_step,
            no_pull + (1 - self.of_pull) * bias_of_pull,
        )
        if arm == "singular" and self.as_limit:
            numbers["stationary"] = numbers["coefficient"]
        estimate = self.ratio.get(arm, 1.0) * numbers[RIGHT.get(arm, "coefficient")]
        if arm == "localised":
            estimate = self.ratio[arm] * np.array([aimed_at(r) for r in runs])
        if arm == "main":
            ranked = np.isin(runs.each("potential"), BY_RANK)
            estimate = np.where(ranked, 5.5 + self.rises["main"] * (estimate - 5.5), estimate)
        if arm == "one-rank":
            estimate = 7 + self.rises[arm] * (runs.each("replicate") - 10.0)
        estimate = estimate * np.exp(rng.normal(0, 0.003, len(runs)))
        failing = rng.random((len(runs), 1)) < self.failing.get(arm, 0.0)
        failed = failing & (np.arange(len(CHECKS)) == (len(CHECKS) - 1 if arm == "coarse" else 0))
        if arm == "coarse":
            failed[:, :1] = failing & (rng.random((len(runs), 1)) < self.seen_without)
        return measures(
            runs,
            coords={"check": list(CHECKS)},
            estimate=("run", estimate, "1"),
            late=("run", estimate * self.late.get(arm, 1.0), "1"),
            failed=("run check", failed, "bool"),
            **{name: ("run", x, "1") for name, x in numbers.items()},
        )


def aimed_at(r):
    """What an estimate is judged against at localisation 1: the integral, where there is one, or
    the learning coefficient."""
    k = known(r.potential, r.n_beta, 1.0)
    return k.stationary if r.potential in (*SINGULAR, DEGENERATE) else k.coefficient


WORLD = World()


def ratios(**changes):
    return replace(WORLD, ratio=WORLD.ratio | {k.replace("_", "-"): v for k, v in changes.items()})


def failing(**changes):
    return replace(
        WORLD, failing=WORLD.failing | {k.replace("_", "-"): v for k, v in changes.items()}
    )


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "On nine linear networks": (ratios(main=1.3), {"localised": ratios(localised=1.02)}),
    "On w⁴, w⁶": (
        ratios(singular=0.7),
        {"localised": ratios(localised=1.02), "asymptotic": replace(WORLD, as_limit=True)},
    ),
    "On quadratics at four settings": (
        ratios(settings=1.1),
        {"no-step": replace(WORLD, of_step=0.0), "no-pull": replace(WORLD, of_pull=0.0)},
    ),
    "At 5-3-4 the estimate rises": (
        replace(WORLD, rises={"main": 0.1, "one-rank": 0.0}),
        {"one-rank": replace(WORLD, rises={"main": 1.0, "one-rank": 1.0})},
    ),
    "Of runs that are bad on purpose": (failing(faulty=0.5), {"one-rank": failing(one_rank=1.0)}),
    "Of runs whose step is stable": (
        failing(coarse=0.5),
        {"unweighted": replace(WORLD, seen_without=1.0), "one-rank": failing(one_rank=1.0)},
    ),
    "Of sound runs": (
        failing(main=0.5),
        {"faulty": failing(faulty=0.05), "coarse": failing(coarse=0.05)},
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]
GATED = [c for c in CLAIMS if c.gates]


@pytest.mark.parametrize("which", range(4))
def test_chains_that_still_move_decide_nothing(which):
    claim = GATED[which]
    verdict = judge(claim, replace(WORLD, late={claim.of: 1.2}).arms()).verdict
    assert len(GATED) == 4
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate stationary"), claim.text


def test_theorems_are_met_whatever_was_sampled():
    statements = [c for c in experiment.claims if isinstance(c, Exact)]
    assert [verify(e, WORLD.arms()).outcome for e in statements] == ["exact"] * 6


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"potential": "network 3-1-3 rank 2"}, "rank 2 is above the smallest size, 1"),
        ({"potential": "network 5-3-4"}, "it is like"),
        ({"lr": 0.014}, "has to be below 4"),
        ({"lr": 0.0}, "must be positive"),
        ({"n_beta": 0.0}, "n_beta, data points over temperature, must be positive"),
        ({"localisation": -1.0}, "localisation, the pull towards the minimum, must be above 0"),
        ({"localisation": 0.0}, "must be above 0: without it free directions wander off"),
        ({"potential": "quadratic ."}, "no potential 'quadratic .'; it is like"),
        ({"chains": 1}, "chains must be at least 2"),
        ({"steps": 8_050}, "equal blocks"),
        ({"burn_in": 7_900}, "burn_in must leave at least three blocks"),
        ({"fault": "cursed"}, "fault is one of"),
    ],
)
def test_what_cannot_be_sampled_is_one_line(fields, says):
    with pytest.raises(SpecError, match=says) as error:
        Llc(**fields)
    assert "\n" not in str(error.value)


def test_faults_and_replicates_are_for_arms_to_set():
    for fields in ({"fault": "unstable"}, {"replicate": 3}):
        with pytest.raises(SpecError, match="for arms to set"):
            experiment.specs_of("main", (Llc(**fields),))


def test_no_two_arms_share_a_chain():
    seen = {}
    for arm in TRAINED:
        for s in experiment.specs_of(arm, experiment.default):
            assert seen.setdefault((s.replicate, s.seed), arm) == arm


def test_three_runs_of_twelve_are_coarse_in_partly_coarse():
    failed = failing(main=0.0).arms()["partly-coarse"].failed.any("check")
    assert (failed.groupby("seed").mean() == 3 / 12).all()
    assert set(np.unique(failed.seed)) == {r.seed for r in experiment.default}


def test_steps_overshoot_as_far_at_any_localisation():
    for gamma in (1.0, 10.0):
        base = tuple(s.replace(localisation=gamma) for s in experiment.smoke)
        for s in experiment.specs_of("coarse", base):
            assert s.localisation == gamma
            assert not s.potential.startswith("quadratic") or s.lr * (
                s.n_beta + gamma
            ) == pytest.approx(3.0)


def test_integrals_are_those_of_the_localisation_that_was_set():
    base = tuple(s.replace(localisation=10.0) for s in experiment.smoke)
    found = {}
    for name in ("singular", "localised"):
        runs = Runs(experiment.specs_of(name, base))
        numbers = np.array(
            [known(r.potential, r.n_beta, r.localisation, min(r.lr, 0.01)) for r in runs]
        ).T
        every = {k: ("run", x, "1") for k, x in zip(Known._fields, numbers, strict=True)}
        found[name] = measures(
            runs, estimate=("run", numbers[Known._fields.index("stationary")], "1"), **every
        )
    own = over_integral(found["singular"], {})
    assert (
        own.sizes["row"] == 4 and (own == 1).all()
    )  # chains that are right at localisation 10 are right
    held = over_integral(found["localised"], found)
    right = [
        known(n, Llc().n_beta, 100.0).stationary / known(n, Llc().n_beta, 10.0).stationary
        for n in (*SINGULAR, DEGENERATE)
    ]
    assert sorted(held.isel(seed=0).values) == pytest.approx(sorted(right))
