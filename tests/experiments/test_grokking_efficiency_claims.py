"""Every claim of grokking-efficiency can hold, can fail, and can be made vacuous by its control; planted measures, nothing trained."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.claims import Claim, Exact, Finding
from assay.core.errors import SpecError
from assay.core.findings import estimate, verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments import grokking_efficiency
from assay.experiments.grokking_efficiency import experiment, looks
from assay.lab.result import with_derived

CENTRE = np.log([200, 300, 400, 500, 600, 700]).mean()
"""Mean log size of the memorisers, about which their law is planted."""


def logistic(z):
    return 1 / (1 + np.exp(-z))


@dataclass(frozen=True)
class World:
    """Sizes at which accuracies cross a half, laws of J, and what single arms do otherwise; noise from seed to seed."""

    beta: float = 0.65
    generalising: float = 0.0
    """Slope of the grokked networks' J in log size."""
    critical: float = 395.0
    """Where memorising costs as much as the best amplitudes."""
    ungrok: float = 385.0
    scratch: float = 430.0
    others: float = 385.0
    power: float = 1.5
    """U50 as J to this power."""
    scatter: float = 0.005
    """Of log U50 beside that power."""
    ring: bool = False
    """Whether J goes up and down slowly along the seeds, and U50 with it three places on: then neighbours' costs tell as much."""
    memory: str = "law"
    """Costs of the memorisers: a power law; or "both", a law with another size's costs as well."""
    accuracy: dict = field(default_factory=dict)
    """Accuracies of some arms, set by hand: {arm: {size: accuracy}}."""
    slow: dict = field(default_factory=lambda: {"both-slow": 1.0, "rate-only": 0.75})
    """Delay ÷ fit time over main's."""
    half: dict = field(default_factory=dict)
    """By how much arms were more accurate at half their length."""

    def arms(self):
        return with_derived(experiment, {n: self.measures(n, i) for i, (n, a) in enumerate(experiment.arms.items()) if a.train})

    def measures(self, arm, stream):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, seeds, size = np.random.default_rng(stream), runs.seeds, runs.each("pairs")
        own = np.random.default_rng(7).normal(0, 0.02, (2, 16))[int(arm.startswith("others")), seeds - 1000]
        ahead = own
        if self.ring:  # of 32 networks, others' after main's
            place = seeds - 1000 + 16 * arm.startswith("others")
            own, ahead = (0.06 * np.cos(np.pi / 16 * (place + k)) for k in (0, 3))
        cost = 0.02 * np.exp(self.generalising * np.log(size / 800) + own)
        if arm == "memorise":
            cost = 0.02 * np.exp(self.memorised(size) + rng.normal(0, 0.003, len(runs)))
        best = 0.02 * np.exp(self.beta * (np.log(self.critical) - CENTRE) + rng.normal(0, 0.003, len(runs)))
        middle = {"scratch": self.scratch, "few": self.scratch, "others-ungrok": self.others}.get(arm, self.ungrok)
        moved = self.power * ahead + rng.normal(0, self.scatter, 16)[seeds - 1000] if runs.shared.continued else 0.02 * own
        test = logistic((size - middle * np.exp(moved)) / 20)
        test = test.clip(0.001, 0.999) + rng.normal(0, 0.0005, len(runs))
        if arm == "no-decay":
            test = 0.99 + rng.normal(0, 0.002, len(runs))
        if arm in ("strong-decay", "weak-decay"):  # of the same seeds as ungrok, which has its own noise
            ungrok = self.measures("ungrok", list(experiment.arms).index("ungrok"))
            test = ungrok.test.values[ungrok.pairs.values == 350] + rng.normal(0, 0.01, len(runs))
        for d, value in self.accuracy.get(arm, {}).items():
            test = np.where(size == d, value + rng.normal(0, 0.01, len(runs)), test)
        patience = 11 * self.slow.get(arm, 1.0) * np.exp(rng.normal(0, 0.03, len(runs)))
        n, steps = len(runs), looks(runs.shared)
        return measures(
            runs,
            coords={"step": list(steps)},
            cost=("run", cost, "nats"),
            cost_half=("run", cost, "nats"),
            train=("run", np.ones(n), "share"),
            test=("run", test, "share"),
            test_half=("run", test + self.half.get(arm, 0.0), "share"),
            start_test=("run", np.full(n, 0.98), "share"),
            growth=("run", np.ones(n), "ratio"),
            fit=("run", np.full(n, 50.0), "steps"),
            grok=("run", 50 * (1 + patience), "steps"),
            rise=("run", np.full(n, 1500.0), "steps"),
            nu=("run", np.full(n, 122.0), "squared norm"),
            best_cost=("run", best, "nats"),
            train_curve=("run step", np.ones((n, len(steps))), "share"),
            test_curve=("run step", np.ones((n, len(steps))), "share"),
        )

    def memorised(self, size):
        """log J over 0.02 of memorisers, about the mean log size."""
        sizes = np.unique(size)
        x = np.log(sizes) - CENTRE
        y = self.beta * x
        if self.memory == "both":  # a slope of .65 with its own costs, and with those of the next smaller size
            y = 0.65 / (1 + x @ np.roll(x, -1) / (x @ x)) * (x + np.roll(x, -1))
        return y[np.searchsorted(sizes, size)]


WORLD = World()
GIVEN = np.exp(CENTRE)
EVEN = replace(WORLD, critical=GIVEN, ungrok=GIVEN, scratch=GIVEN)
"""Where theory and sizes meet at the mean size of the memorisers, any order of their costs finds it."""

# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Memorising loses efficiency": (
        replace(WORLD, beta=0.2),
        {"generalise": replace(WORLD, generalising=0.7), "shuffled": replace(WORLD, memory="both")},
    ),
    "Generalising does not": (replace(WORLD, generalising=0.4), {"memorise": replace(WORLD, beta=0.0)}),
    "Ungrokking": (
        replace(WORLD, accuracy={"ungrok": {200: 0.9}}),
        {"no-decay": replace(WORLD, accuracy={"no-decay": {200: 0.02}})},
    ),
    "On 450 of its pairs": (
        replace(WORLD, accuracy={"ungrok": {450: 0.3}}),
        {"ungrok-250": replace(WORLD, accuracy={"ungrok": {250: 0.9}})},
    ),
    "How much is forgotten": (
        replace(WORLD, accuracy={"strong-decay": {350: 0.8}}),
        {"no-decay": replace(WORLD, accuracy={a: {350: 0.3} for a in ("no-decay", "strong-decay", "ungrok")})},
    ),
    "Nor at w = 1e-5": (
        replace(WORLD, accuracy={"weak-decay": {350: 0.8}}),
        {"no-decay": replace(WORLD, accuracy={a: {350: 0.3} for a in ("no-decay", "weak-decay", "ungrok")})},
    ),
    "Semi-grokking": (
        replace(WORLD, accuracy={"scratch": {460: 0.99}}),
        {
            "few": replace(WORLD, accuracy={"few": {250: 0.5}}),
            "plenty": replace(WORLD, accuracy={"plenty": {1000: 0.5}}),
        },
    ),
    "Hysteresis": (replace(WORLD, ungrok=430.0), {"others-ungrok": replace(WORLD, others=430.0)}),
    "Theory says where networks forget": (replace(WORLD, critical=500.0), {"shuffled": EVEN}),
    "Theory says where networks grok": (replace(WORLD, critical=300.0), {"shuffled": replace(EVEN, scratch=430.0)}),
    "Slowness favours neither": (
        replace(WORLD, slow={"both-slow": 1.5, "rate-only": 0.75}),
        {"rate-only": replace(WORLD, slow={"both-slow": 1.0, "rate-only": 1.0})},
    ),
    "A network's own efficiency": (replace(WORLD, power=0.0), {"others-cost": replace(WORLD, ring=True, power=1.75)}),
    "And with the power": (replace(WORLD, power=0.3), {"others-cost": replace(WORLD, ring=True, power=1.75)}),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


def claim_of(start: str) -> Claim:
    [found] = [c for c in CLAIMS if c.text.startswith(start)]
    return found


@pytest.fixture(scope="module")
def world():
    return WORLD.arms()


@pytest.mark.parametrize(
    ("start", "changes", "reason"),
    [
        ("Hysteresis", {"half": {"scratch": -0.3}}, "gate converged"),  # half as long, it would have been a larger size
        ("Ungrokking", {"half": {"ungrok": 0.3}}, "gate converged"),
        ("Hysteresis", {"scratch": 700.0}, "too few units: 0 of 6 seeds"),  # beyond the sizes, and never their edge
        ("Theory says where networks forget", {"ungrok": 150.0}, "too few units: 0 of 6 seeds"),
    ],
)
def test_what_cannot_be_told_is_undecided(start, changes, reason):
    verdict = judge(claim_of(start), replace(WORLD, **changes).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", reason)


@pytest.mark.parametrize(
    ("arm", "measure", "value", "start", "gate"),
    [
        ("ungrok", "train", 0.9, "Ungrokking", "fitted"),
        ("ungrok", "start_test", 0.9, "Ungrokking", "grokked before"),
        ("at-460", "rise", 100.0, "Semi-grokking", "rises 5 fit times late"),
    ],
)
def test_gates(arm, measure, value, start, gate, world):
    changed = world[arm].copy(deep=True)
    changed[measure][0] = value
    verdict = judge(claim_of(start), {**world, arm: changed}).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", f"gate {gate}")


def test_the_simulation_is_exact(world):
    exact = [e for e in experiment.claims if isinstance(e, Exact)]
    assert [verify(e, world).outcome for e in exact] == ["exact"] * 5


def test_a_simulation_with_another_efficiency_violates(world, monkeypatch):
    monkeypatch.setattr(grokking_efficiency, "BASE", replace(grokking_efficiency.BASE, efficiency_m=1 / 4))
    outcomes = [verify(e, world).outcome for e in experiment.claims if isinstance(e, Exact)]
    assert outcomes[1] == "violated"


def test_findings_say_what_was_planted(world):
    found = {f.text: estimate(f, world) for f in experiment.claims if isinstance(f, Finding)}
    sizes = {name[:4]: e.estimate for name, e in found.items() if name[:4] in ("D_cr", "U50,", "D50,")}
    assert sizes == {
        "D_cr": pytest.approx(395, rel=0.02),
        "U50,": pytest.approx(385, rel=0.03),
        "D50,": pytest.approx(430, rel=0.02),
    }


def test_figures_have_their_columns(world):
    for figure in experiment.figures(world):
        assert figure.x_title and figure.y_title
        assert all(len(column) for column in figure.columns.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p": 54}, "p must be an odd prime, got 54; nearest 53 and 59"),
        ({"p": 13}, "Grokking.pairs must be 1 to 91 at p=13, got 800"),
        ({"hidden": 0}, "Grokking.hidden must be at least 1, got 0"),
        ({"lr": 0.0}, "Grokking needs lr and pace above 0 and decay of at least 0, got lr=0.0, pace=1.0, decay=3e-05"),
        ({"pairs": 818}, "other arms' sizes scale with Grokking.pairs: at p=53 it must be at most 817, got 818"),
    ],
)
def test_impossible_specs_are_refused_in_one_line(changes, message):
    with pytest.raises(SpecError) as e:
        experiment.specs_of("plenty", (experiment.default[0].replace(**changes),))
    assert str(e.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels=random", "Grokking.labels is for arms to set: leave it at 'sums', got 'random'"),
        ("replicate=1", "Grokking.replicate is for arms to set: leave it at 0, got 1"),
        ("pairs=1", "other arms' sizes scale with Grokking.pairs, which must be at least 40 for them to differ, got 1"),
        ("pairs=700,800", "a preset has one Grokking.pairs, of which arms make others, got 700, 800"),
    ],
)
def test_what_arms_cannot_be_made_of_is_refused_before_training(text, message):
    from assay.lab.preset import override

    with pytest.raises(SpecError) as e:
        override(experiment, "default", [text])
    assert str(e.value) == message
