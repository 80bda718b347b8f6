"""Every claim of grokking-frequencies can hold, can fail, and can be made vacuous by its controls; planted measures, nothing trained."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.claims import Claim, Exact, Finding
from assay.core.findings import estimate, verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments import grokking_frequencies as module
from assay.experiments.grokking_frequencies import experiment

ALPHA, BETA, NU, SIZE = 4.235e-4, 0.65, 122.7, 11.0
"""Memorising costs α D^β; squared norm is ν times the sum of A^(2/3), here 11 for every circuit."""
GAP = 0.16
"""How much more the cheapest circuit of a bad set costs than that of a good one: log ratio of J, so 0.25 in log size."""


def bell(seeds, stream):
    """One standard normal number a seed, the same for every arm that asks under this name."""
    return np.array([np.random.default_rng([stream, int(s)]).normal() for s in seeds])


def wave(seeds, lag, period):
    """A number that changes slowly from seed to seed, so that neighbours tell much about each other."""
    return np.sin(2 * np.pi * (seeds - 2000 + lag) / period)


@dataclass(frozen=True)
class World:
    """What the arms would show; the defaults are a world in which everything that was claimed is true."""

    lean: float = 6.0
    """By how many standard deviations used frequencies were stronger at the start."""
    alike: bool = False
    """Whether all networks start from the same strengths and use the same frequencies."""
    used: dict = field(default_factory=lambda: {"doubled": 5, "halved": 0, "turned": 1, "main": 1})
    """Of five random frequencies, those that are used."""
    outsiders: dict = field(default_factory=lambda: {"free-good": 0.2, "free-bad": 1.3, "free-same": 0.2})
    gap: dict = field(default_factory=lambda: {"free-bad": 0.05, "bad": 0.55})
    """Share of the predicted gap in log J that networks show."""
    forget: dict = field(default_factory=lambda: {"good-less": 0.0, "bad-less": 0.95, "same-less": 0.0})
    """Share of the predicted gap in log size."""
    follows: dict = field(default_factory=lambda: {"main": True, "random": True})
    """Whether the size at which networks forget has to do with their set."""
    own: float = 0.05
    """Of a network's log J about what its log size tells, over a spread of 0.02."""
    neighbours: bool = False
    """Whether predictions and sizes change slowly from seed to seed, so that other networks' predictions do as well."""
    off: float = 0.06
    """log of measured over predicted size of confined networks."""
    spread: dict = field(default_factory=lambda: {"sets": 0.14, "sets-7": 0.07})
    moved: float = 0.0
    """log of sizes half-way through going on with less, over those at the end."""
    start: float = 0.97
    test: float = 0.99
    middle: float | None = None
    """The one size at which all confined networks forget and all circuits break even; None: each its own."""

    def arms(self) -> dict:
        trained = {name: self.measures(name) for name, arm in experiment.arms.items() if arm.train is not None}
        made = {name: arm.derive(trained) for name, arm in experiment.arms.items() if arm.derive is not None}
        return {**trained, **made}

    def measures(self, arm):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        if runs.shared.what == "sets":
            return self.sets(arm, runs)
        parent, n = arm.removesuffix("-less"), len(runs)
        diverged = {"diverged": ("run", np.zeros(n, bool), "bool")}
        if runs.shared.what == "labels":
            J = ALPHA * runs.each("size") ** BETA * np.exp(0.002 * bell(runs.seeds, 1))
            return measures(runs, objective=("run", J, "nats"), train=("run", np.ones(n), "share"), **diverged)
        predicted, measured = self.sizes(parent, runs.seeds)
        gap = {"gap": ("run", GAP * np.exp(0.1 * bell(runs.seeds, 2)), "log ratio")}
        if arm != parent:
            at = runs.each("size")
            test, half = (1 / (1 + np.exp(-10 * (np.log(at) - measured - m))) for m in (0.0, self.moved))
            return measures(
                runs, test=("run", test, "share"), test_half=("run", half, "share"),
                start=("run", np.full(n, self.start), "share"), **gap, **diverged,
            )  # fmt: skip
        return measures(runs, coords={"view": module.VIEWS}, **self.network(arm, runs, predicted, measured), **gap, **diverged)

    def sizes(self, arm, seeds):
        """(log predicted, log measured) of the networks of an arm."""
        if arm in ("main", "random"):
            spread, scatter = (0.05, 0.01) if arm == "main" else (0.08, 0.02)
            n = len(set(seeds))
            x, y = (wave(seeds, 0, n), wave(seeds, 2.5, n)) if self.neighbours else (bell(seeds, 3), bell(seeds, 3))
            y = y if self.follows[arm] else bell(seeds, 58)
            middle = np.log(362 if arm == "main" else 370)
            predicted = middle + spread * x
            measured = middle + spread * y + scatter * bell(seeds, 4) + (self.off if arm == "random" else 0)
            if self.middle and arm == "random":
                predicted = measured = np.log(self.middle) + 0.001 * bell(seeds, 3)
            return predicted, measured
        share = self.forget.get(f"{arm}-less", 0.0)
        base = np.log(370) + 0.02 * bell(seeds, 5)
        return base, base + share * GAP / BETA + 0.02 * bell(seeds, 6 + len(arm))

    def network(self, arm, runs, predicted, measured):
        n, seeds, luck = len(runs), runs.seeds, np.random.default_rng(7)
        used, first = np.zeros((n, 26), bool), np.zeros((n, 26), bool)
        for row, five, seed in zip(used, first, seeds, strict=True):
            order = np.random.default_rng([20, 0 if self.alike else int(seed)]).permutation(26)
            five[order[:5]] = runs.shared.imposed != "none"
            row[order[: self.used.get(arm, 5)]] = True
            row[order[5 : 9 + seed % 3]] = arm == "main"
        power = (np.random.default_rng(8).normal(size=(1, 26)) if self.alike else luck.normal(size=(n, 26))) + self.lean * used
        level = np.log(0.021) + 0.4 * (measured - np.log(362))
        log_j = level + 0.4 * 0.05 * self.own * bell(seeds, 9)
        if self.neighbours and arm == "main":
            log_j = np.log(0.021) + 0.02 * wave(seeds, 0, n)
        if arm in ("free-good", "free-bad", "good", "bad"):
            gap = GAP * np.exp(0.1 * bell(seeds, 2))
            log_j = np.log(0.021) + 0.01 * bell(seeds, 10) + self.gap.get(arm, 0.0) * gap
        return {
            "power": ("run view frequency", np.stack([power] * len(module.VIEWS), 1), "1"),
            "used": ("run frequency", used, "bool"), "imposed": ("run frequency", first, "bool"),
            "outsiders": ("run", self.outsiders.get(arm, 0.0) + 0.3 * bell(seeds, 11 + len(arm)), "frequencies"),
            "objective": ("run", np.exp(log_j), "nats"), "size_used": ("run", np.full(n, SIZE), "1"),
            "size_set": ("run", np.full(n, 0.9 * SIZE), "1"),
            "norm": ("run", np.full(n, NU * SIZE), "1"), "circuit": ("run", ALPHA * np.exp(BETA * predicted), "nats"),
            "circuit_size": ("run", np.full(n, SIZE), "1"), "margin": ("run", np.exp(-predicted), "logit"),
            "even": ("run", 1.05 * ALPHA * np.exp(BETA * predicted), "nats"),
            "worse": ("run", np.full(n, 0.6), "share"), "train": ("run", np.ones(n), "share"),
            "test": ("run", np.full(n, self.test), "share"),
        }  # fmt: skip

    def sets(self, arm, runs):
        n = len(runs)
        size = 370 * (1 + self.spread[arm] * np.array([-0.7, -0.5, 0.0, 0.5, 1.5]))
        J = ALPHA * size**BETA * np.exp(0.001 * bell(runs.seeds, 12))[:, None]
        orbits = {5: 2530, 7: 25300}[runs.shared.count]
        return measures(
            runs, coords={"quantile": module.QUANTILES}, circuit=("run quantile", J, "nats"),
            circuit_size=("run quantile", np.full((n, 5), SIZE), "1"), orbits=("run", np.full(n, orbits), "orbits"),
            diverged=("run", np.zeros(n, bool), "bool"),
        )  # fmt: skip


WORLD = World()
NEIGHBOURS = replace(WORLD, neighbours=True)


def but(name, **values):
    """The world with some levels of one dict replaced; keys with _ for -."""
    return replace(WORLD, **{name: {**getattr(WORLD, name), **{k.replace("_", "-"): v for k, v in values.items()}}})


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "(a) Frequencies that are strong": (replace(WORLD, lean=0.0), {"others": replace(WORLD, alike=True)}),
    "(a), as it was said": (replace(WORLD, lean=0.0), {"others": replace(WORLD, alike=True)}),
    "(a) as a cause: doubling": (but("used", doubled=1), {"turned": but("used", turned=5)}),
    "(a) as a cause: of five": (but("used", halved=2), {"turned": but("used", turned=0)}),
    "Bad sets are left": (but("outsiders", free_bad=0.2), {"free-same": but("outsiders", free_same=1.3)}),
    "So the gap in efficiency": (but("gap", free_bad=0.9), {"bad": but("gap", bad=0.0)}),
    "(b) where there is no choice": (but("forget", bad_less=0.0), {"same-less": but("forget", same_less=0.9)}),
    "(b) and by as much": (but("forget", bad_less=0.1), {"same-less": but("forget", same_less=0.9)}),
    "(b) network by network": (but("follows", random=False), {"confined-others": NEIGHBOURS}),
    "(b) as it was said": (but("follows", main=False), {"others": NEIGHBOURS}),
    "(b) with one amplitude": (but("follows", main=False), {"others": NEIGHBOURS}),
    "And not by how many": (but("follows", main=False), {"others": NEIGHBOURS}),
    "Networks as they come forget": (replace(WORLD, own=20.0), {"others": NEIGHBOURS}),
    "The theory puts": (replace(WORLD, off=0.4), {"shuffled": replace(WORLD, middle=409.6)}),
    "Interference makes a difference": (but("spread", sets=0.05), {"sets-7": but("spread", sets_7=0.15)}),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


def claim_of(start: str) -> Claim:
    [found] = [c for c in CLAIMS if c.text.startswith(start)]
    return found


def test_every_claim_and_control_has_a_case():
    assert len(CASES) == len(CLAIMS)
    assert {start: set(claim_of(start).must_fail) for start in CASES} == {start: set(case[1]) for start, case in CASES.items()}


@pytest.fixture(scope="module")
def true():
    return WORLD.arms()


@pytest.mark.parametrize("start", CASES)
def test_holds_where_the_effect_is_and_its_controls_fail(start, true):
    judged = judge(claim_of(start), true)
    assert (judged.verdict.outcome, judged.verdict.reason) == ("holds", "")
    assert {v.outcome for v in judged.controls.values()} == {"fails"}


@pytest.mark.parametrize("start", CASES)
def test_fails_where_the_effect_is_removed(start):
    judged = judge(claim_of(start), CASES[start][0].arms())
    assert (judged.verdict.outcome, judged.verdict.reason) == ("fails", "")


@pytest.mark.parametrize(("start", "control"), [(start, name) for start, case in CASES.items() for name in case[1]])
def test_a_control_that_passes_makes_it_vacuous(start, control):
    judged = judge(claim_of(start), CASES[start][1][control].arms())
    assert judged.controls[control].outcome == "holds"
    assert (judged.verdict.outcome, judged.verdict.reason) == ("undecided", f"control {control} passes (vacuous)")


@pytest.mark.parametrize("start", [s for s in CASES if claim_of(s).gates and claim_of(s).gates[0].name == "start"])
def test_networks_that_did_not_start_well_decide_nothing(start):
    verdict = judge(claim_of(start), replace(WORLD, start=0.7).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate start")


@pytest.mark.parametrize("start", [s for s in CASES if claim_of(s).gates and claim_of(s).gates[0].name == "generalises"])
def test_networks_that_did_not_generalise_decide_nothing(start):
    verdict = judge(claim_of(start), replace(WORLD, test=0.8).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate generalises")


def test_sizes_that_still_move_decide_nothing_about_location():
    verdict = judge(claim_of("The theory puts"), replace(WORLD, moved=0.2).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_where_the_planted_effect_is_not_found_its_absence_says_nothing():
    """Were all natural sets alike, even networks that follow them exactly would show no correlation."""
    claim = claim_of("(b) as it was said")
    arms = WORLD.arms()
    flat = {**arms, "planted": arms["others"].isel(partner=0).assign(size_of=arms["natural"].size_of)}
    verdict = judge(claim, flat).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "planted planted not found")


def test_where_only_the_number_of_frequencies_tells_sizes_the_claim_beyond_it_fails(true):
    arms = dict(true)
    natural = arms["natural"].copy()
    more = natural.used.values.sum(1)
    for i, name in enumerate(("even", "size_of")):
        natural[name] = natural[name].copy(data=np.exp(0.1 * more + 0.01 * bell(natural.seed.values, 30 + i)))
    arms["natural"] = arms["natural-half"] = natural
    assert judge(claim_of("(b) with one amplitude"), arms).verdict.outcome == "holds"
    assert judge(claim_of("And not by how many"), arms).verdict.outcome == "fails"


def test_locations_with_another_nu_are_what_calculus_gives(true):
    """J rises with ν by w S / 2, and log sizes by 1/β times that of log J."""
    found = {f.text: estimate(f, true).estimate for f in experiment.claims if isinstance(f, Finding)}
    assert found["ν, squared norm over Σ A^(2/3) over all amplitudes, main"] == pytest.approx(NU)
    assert found["ν, squared norm over Σ A^(2/3) over the set's amplitudes, main"] == pytest.approx(NU / 0.9)
    confined = true["confined"]
    J = confined.circuit.values
    moved = np.log1p(3e-5 / 2 * NU * (1 / 0.9 - 1) * SIZE / J).mean() / BETA
    as_judged = float((np.log(confined.size_of) - confined.log_predicted).mean())
    assert found["Location of confined networks with ν of main over the set's amplitudes"] == pytest.approx(as_judged - moved, abs=2e-3)


def test_findings_have_numbers(true):
    for finding in (f for f in experiment.claims if isinstance(f, Finding)):
        assert np.isfinite(estimate(finding, true).estimate), finding.text


def test_orbits_are_counted(true):
    [exact] = [c for c in experiment.claims if isinstance(c, Exact)]
    assert verify(exact, true).outcome == "exact"
    arm = true["sets"].assign(orbits=true["sets"].orbits + 1)
    assert verify(exact, {**true, "sets": arm}).outcome == "violated"


def test_figures_are_made_of_the_measures(true):
    made = experiment.figures(true)
    assert len(made) == 5
    assert all(f.x_title and f.y_title for f in made)
