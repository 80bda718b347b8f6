"""Every claim of grokking-frequencies can hold, can fail, and can be made unspecific by its
controls; planted measures, nothing trained."""

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pytest
from named_claims import claim_of
from planted_arms import planted_arms

from assay.core import estimates, judging
from assay.core.claims import Claim, Finding
from assay.core.estimates import estimate
from assay.core.judging import judge
from assay.core.measures import by, measures
from assay.core.runs import Runs
from assay_catalogue.experiments.grokking_frequencies import claims as module_claims
from assay_catalogue.experiments.grokking_frequencies import experiment
from assay_catalogue.experiments.grokking_frequencies import method as module_method

ALPHA, BETA, NU, SIZE = 4.235e-4, 0.65, 122.7, 11.0
"""Memorising costs α D^β; squared norm is ν times the sum of A^(2/3), here 11 for every circuit."""
FIRST = min(s.seed for s in experiment.default)


def bell(seeds, stream):
    """One standard normal number a seed, the same for every arm that asks under this name."""
    return np.array([np.random.default_rng([stream, int(s)]).normal() for s in seeds])


def code(arm):
    """A number of an arm's own."""
    return 1_000 + sum(ord(x) * i for i, x in enumerate(arm))


def wave(seeds, n):
    """A number that changes slowly from seed to seed, so that neighbours tell much about each
    other."""
    return 2**0.5 * np.sin(2 * np.pi * (seeds - FIRST) / n)


@dataclass(frozen=True)
class World:
    """What the arms would show; the defaults are a world in which everything that was claimed is
    true."""

    lean: float = 2.5
    """By how many standard deviations used frequencies were stronger at the start."""
    alike: bool = False
    """Whether all networks start from the same strengths and use the same frequencies."""
    used: dict = field(default_factory=lambda: {"doubled": 5, "halved": 0, "turned": 2, "main": 2})
    """Of five random frequencies, those that are used, or one fewer."""
    outsiders: dict = field(
        default_factory=lambda: {
            "free-good": 0.2,
            "free-bad": 1.3,
            "free-same": 0.2,
            "doubled": 0.3,
        }
    )
    paid: dict = field(default_factory=lambda: {"free-good": 0.05, "free-bad": 0.05, "random": 0.9})
    """log J that networks pay, per log J of their imposed set."""
    follows: dict = field(default_factory=lambda: {"main": 1.0, "random": 1.0})
    """Log size at which networks forget, per predicted log size."""
    scatter: float = 0.003
    """What else makes networks differ in it."""
    order: float = 0.006
    """What the order of pairs adds to the size on the second part."""
    wide: float = 0.1
    """Spread of log sizes that confined networks' sets predict; what networks use as they come
    predicts .05."""
    neighbours: bool = False
    """Whether predictions change slowly from seed to seed, so that other networks' predictions do
    as well."""
    numbers: bool = False
    """Whether the number of frequencies decides what sets predict."""
    strong: bool = False
    """Whether confined networks were set to what was weak at the start as their sets are dear."""
    even: float = 0.98
    """Correlation of what one amplitude predicts with what the cheapest circuit does."""
    power: float = 1.5
    """Log size per log J of networks as they come."""
    own: float = 0.1
    """Of a network's log J about what its log size tells, in its standard deviations."""
    off: float = 0.08
    """log of actual over predicted size of confined networks."""
    inside: float = 0.9
    """Share of Σ A^(2/3) that is the set's."""
    moved: float = 0.0
    """log of sizes half-way through going on with less, over those at the end."""
    start: float = 0.97
    test: float = 0.99
    middle: float | None = None
    """The one size at which all confined networks forget and all circuits break even; None: each
    its own."""

    def arms(self) -> dict:
        return planted_arms(experiment, lambda arm, stream: self.measures(arm))

    def measures(self, arm):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        parent, n = arm.removesuffix("-less").removesuffix("-again"), len(runs)
        diverged = {"diverged": ("run", np.zeros(n, bool), "bool")}
        if runs.shared.what == "labels":
            J = ALPHA * runs.each("size") ** BETA * np.exp(0.002 * bell(runs.seeds, 1))
            return measures(
                runs, objective=("run", J, "nats"), train=("run", np.ones(n), "share"), **diverged
            )
        predicted, actual = self.sizes(parent, runs.seeds)
        if arm != parent:
            place = actual + (
                self.order * bell(runs.seeds, 60 + arm.endswith("again")) if parent == "main" else 0
            )
            test, half = (
                1 / (1 + np.exp(-10 * (np.log(runs.each("size")) - place - m)))
                for m in (0.0, self.moved)
            )
            return measures(
                runs,
                test=("run", test, "share"),
                test_half=("run", half, "share"),
                start=("run", np.full(n, self.start), "share"),
                **diverged,
            )
        return measures(
            runs,
            coords={"view": module_method.VIEWS},
            **self.network(arm, runs, predicted, actual),
            **diverged,
        )

    def cost(self, arm, seeds):
        """Standardised log cost of the sets, up to a spread."""
        if self.neighbours:
            return wave(seeds, len(set(seeds)))
        return (
            (self.number(seeds) - 5.5) / 1.1 + 0.05 * bell(seeds, 3)
            if self.numbers and arm == "main"
            else bell(seeds, 3)
        )

    def number(self, seeds):
        """How many frequencies networks use as they come."""
        return np.array([4 + np.random.default_rng([57, int(s)]).integers(4) for s in seeds])

    def sizes(self, arm, seeds):
        """(log predicted, log actual) of the networks of an arm."""
        spread, scatter = (0.05, self.scatter) if arm == "main" else (self.wide, 0.02)
        if self.middle and arm == "random":
            both = np.log(self.middle) + 0.001 * bell(seeds, 3)
            return both, both
        x = spread * self.cost(arm, seeds)
        actual = (
            self.follows.get(arm, 1.0) * x
            + scatter * bell(seeds, 4)
            + (self.off if arm == "random" else 0)
        )
        return np.log(365) + x, np.log(365) + actual

    def network(self, arm, runs, predicted, actual):
        n, seeds, luck = len(runs), runs.seeds, np.random.default_rng(7)
        used, first = np.zeros((n, 26), bool), np.zeros((n, 26), bool)
        for row, five, seed, more in zip(used, first, seeds, self.number(seeds), strict=True):
            order = np.random.default_rng([20, 0 if self.alike else int(seed)]).permutation(26)
            five[order[:5]] = runs.shared.imposed != "none"
            fewer = np.random.default_rng([code(arm), int(seed)]).integers(2)
            row[order[: max(self.used.get(arm, 5) - fewer, 0)]] = True
            if arm == "main":
                row[order[5 : 5 + more - row.sum()]] = True
        power = (
            np.random.default_rng(8).normal(size=(1, 26))
            if self.alike
            else luck.normal(size=(n, 26))
        ) + self.lean * used
        spread = 0.05 if arm == "main" else self.wide
        even = np.log(365) + spread * (
            self.even * self.cost(arm, seeds) + (1 - self.even**2) ** 0.5 * bell(seeds, 14)
        )
        log_j = (actual - np.log(365)) / self.power + 0.05 / 1.5 * self.own * bell(seeds, 9)
        dear = 0.04 * bell(seeds, 1 + code(arm))
        if arm in self.paid:
            log_j = self.paid[arm] * (
                BETA * (predicted - np.log(365)) if arm == "random" else dear
            ) + 0.004 * bell(seeds, code(arm))
        circuit = (
            ALPHA * 365**BETA * np.exp(dear)
            if arm.startswith("free")
            else ALPHA * np.exp(BETA * predicted)
        )
        drawn = np.stack(
            [
                np.log(365)
                + 0.05
                * (
                    self.cost(arm, seeds) + 0.2 * bell(seeds, 80 + i)
                    if self.numbers
                    else -bell(seeds, 80 + i)
                )
                for i in range(module_method.DRAWS)
            ],
            1,
        )
        strength = np.exp(-predicted if self.strong else 0.08 * bell(seeds, 16))
        named = {
            "used": ("run frequency", used, "bool"),
            "objective": ("run", 0.021 * np.exp(log_j), "nats"),
            "size_used": ("run", np.full(n, SIZE), "1"),
            "size_set": ("run", np.full(n, self.inside * SIZE), "1"),
            "norm": ("run", np.full(n, NU * SIZE), "1"),
            "circuit": ("run", circuit, "nats"),
            "circuit_size": ("run", np.full(n, SIZE), "1"),
            "margin": ("run", np.exp(-predicted), "logit"),
            "even": ("run", ALPHA * np.exp(BETA * even), "nats"),
            "strength": ("run", strength, "share"),
            "train": ("run", np.ones(n), "share"),
            "test": ("run", np.full(n, self.test), "share"),
        }
        if runs.shared.imposed == "none":
            named |= {
                "power": (
                    "run view frequency",
                    np.stack([power] * len(module_method.VIEWS), 1),
                    "1",
                ),
                "drawn": ("run draw", ALPHA * np.exp(BETA * drawn), "nats"),
                "drawn_size": ("run draw", np.full((n, module_method.DRAWS), SIZE), "1"),
            }
        else:
            named["imposed"] = ("run frequency", first, "bool")
        if arm in self.outsiders:
            named["outsiders"] = (
                "run",
                self.outsiders[arm] + 0.3 * bell(seeds, code(arm)),
                "frequencies",
            )
        return named


WORLD = World()
NEIGHBOURS = replace(WORLD, neighbours=True)
NUMBERS = replace(WORLD, numbers=True)
DULL = replace(WORLD, even=0.3)
"""One amplitude tells little, so that a network's own efficiency is more than what its set costs at
one."""


def but(name, **values):
    """The world with some levels of one dict replaced; keys with _ for -."""
    return replace(
        WORLD,
        **{name: {**getattr(WORLD, name), **{k.replace("_", "-"): v for k, v in values.items()}}},
    )


WIDER = replace(WORLD, scatter=0.12)
APART = but("follows", main=0.0)
STRONG = replace(WORLD, strong=True)
SAME_SPREAD = {
    "by-number": NUMBERS,
    "by-fives": replace(WORLD, wide=0.05),
    "by-order": replace(APART, order=0.14),
}
# claim → ([a world where it holds,] the world without the effect, {control: a world in which it
# passes too})
CASES = {
    "(b), the test as it was proposed": (WIDER, SAME_SPREAD),
    "(b) network by network": (APART, {"others": NEIGHBOURS, "by-number": NUMBERS}),
    "(b) where there is no choice": (
        but("follows", random=-0.2),
        {"confined-others": NEIGHBOURS, "confined-strength": STRONG},
    ),
    "The theory puts": (
        replace(WORLD, off=0.4),
        {"shuffled": replace(WORLD, middle=402.0, inside=1.0)},
    ),
    "Networks as they come forget": (
        DULL,
        replace(DULL, power=0.5),
        {"others": NEIGHBOURS, "even": WORLD},
    ),
    "(a) Frequencies that are strong": (
        replace(WORLD, lean=0.0),
        {"others-start": replace(WORLD, alike=True)},
    ),
    "(a), as it was said": (
        replace(WORLD, lean=0.0),
        {"others-start": replace(WORLD, alike=True, lean=3.5)},
    ),
    "(a) as a cause: doubling": (but("used", doubled=1), {"turned": but("used", turned=5)}),
    "Bad sets are left": (
        but("outsiders", free_bad=0.2),
        {"free-same": but("outsiders", free_same=1.3)},
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """What is planted lies far from the thresholds, and a draw of pairs is dear."""
    monkeypatch.setattr(judging, "DRAWS", 500)
    monkeypatch.setattr(estimates, "interval_of", partial(estimates.interval_of, draws=500))


@pytest.fixture(scope="module")
def true():
    return WORLD.arms()


def test_every_claim_has_a_case():
    assert {claim_of(experiment, start) for start in CASES} == set(CLAIMS)
    assert {start: set(claim_of(experiment, start).must_fail) for start in CASES} == {
        start: set(case[-1]) for start, case in CASES.items()
    }


@pytest.mark.parametrize("start", CASES)
def test_networks_that_did_not_train_or_start_well_decide_nothing(start):
    [gate] = claim_of(experiment, start).gates
    verdict = judge(claim_of(experiment, start), replace(WORLD, start=0.7, test=0.8).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", f"gate {gate.name}")


def test_sizes_that_still_move_decide_nothing_about_location():
    verdict = judge(
        claim_of(experiment, "The theory puts"), replace(WORLD, moved=0.3).arms()
    ).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_where_the_planted_effect_is_not_found_its_absence_says_nothing(true):
    """Were all own sets alike, even networks that follow them exactly would show no correlation."""
    flat = {
        **true,
        "planted": true["planted"].assign(
            log_predicted=true["others"].log_predicted.isel(partner=0)
        ),
    }
    verdict = judge(claim_of(experiment, "(b) network by network"), flat).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "planted planted not found")


def test_a_planted_spread_is_found_under_the_noise_that_the_order_of_pairs_makes(true):
    """By loops over pairs of networks: sizes as they were planted, and what half of the planted
    difference of two parts makes of others."""
    world, seeds = replace(WORLD, order=0.06), np.array([s.seed for s in experiment.default])
    wide = world.arms()
    first, again = (0.06 * bell(seeds, 60 + i) for i in (0, 1))
    half, sets = (first - again) / 2, wide["natural"].log_predicted.values
    told = {f.text: estimate(f, wide).estimate for f in experiment.claims if isinstance(f, Finding)}
    said = lambda what: told[(f"Mean difference between the log sizes of two networks, {what}")]  # noqa: E731
    apart = lambda sizes: pytest.approx(  # noqa: E731
        np.mean([abs(a - b) for a in sizes for b in sizes]), rel=0.02
    )
    assert said("were the order of pairs all that differs") == apart([*half, *-half])
    assert said("as own sets predict") == apart([*(sets + half), *(sets - half)])
    assert said("actual") == apart(world.sizes("main", seeds)[1] + (first + again) / 2)
    assert np.isnan(
        module_claims.mean_difference(
            module_claims.below(wide["natural"], wide)["actual"].values[0]
        )
    ), "one network differs from none"


def test_a_distribution_can_be_right_of_networks_that_do_not_follow_their_sets():
    """Sizes that spread as sampled sets predict, in no relation to the networks' own sets."""
    seeds = np.array([s.seed for s in experiment.default])
    as_wide = 0.05 * bell(seeds, 3).std() / bell(seeds, 4).std()
    apart = replace(WORLD, follows={"main": 0.0, "random": 1.0}, scatter=as_wide, wide=0.13).arms()
    assert judge(claim_of(experiment, "(b), the test"), apart).verdict.outcome == "holds"
    assert judge(claim_of(experiment, "(b) network by network"), apart).verdict.outcome == "fails"


def test_locations_with_another_nu_are_what_calculus_gives(true):
    """J rises with ν by w S / 2, and log sizes by 1/β times that of log J."""
    found = module_claims.off_by(true["confined"], true)
    moved = (
        np.log1p(3e-5 / 2 * NU * (1 / 0.9 - 1) * SIZE / by(true["random"]).circuit.values) / BETA
    )
    assert (found["all"] - found["set"]).values == pytest.approx(moved, rel=1e-2)


def test_findings_have_numbers(true):
    for finding in (f for f in experiment.claims if isinstance(f, Finding)):
        assert np.isfinite(estimate(finding, true).estimate), finding.text


def test_figures_are_made_of_the_measures(true):
    made = experiment.figures(true)
    assert made and all(f.x_title and f.y_title for f in made)
