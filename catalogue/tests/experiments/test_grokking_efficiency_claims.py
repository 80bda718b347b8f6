"""Every claim of grokking-efficiency can hold, can fail, and can be made unspecific by its control;
planted measures, nothing trained."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from named_claims import claim_of
from planted_arms import planted_arms

from assay.core.claims import Exact, Finding
from assay.core.errors import SpecError
from assay.core.estimates import estimate, verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.grokking_efficiency import claims as grokking_efficiency
from assay_catalogue.experiments.grokking_efficiency import experiment
from assay_catalogue.experiments.grokking_efficiency.method import looks

CENTRE = np.log([200, 300, 400, 500, 600, 700]).mean()
"""Mean log size of the memorisers, about which their law is planted."""


ORDER = [2, 0, 4, 1, 5, 3]
"""Under which size the control has the cost of each."""


def logistic(z):
    return 1 / (1 + np.exp(-z))


@dataclass(frozen=True)
class World:
    """Sizes at which accuracies cross a half, laws of J, and what single arms do otherwise; noise
    from seed to seed."""

    beta: float = 0.65
    generalising: float = 0.0
    """Slope of the grokked networks' J in log size."""
    critical: float = 340.0
    """Where memorising costs as much as the best amplitudes."""
    ungrok: float = 335.0
    scratch: float = 430.0
    others: float = 335.0
    set_law: float = 0.05
    """By how much log D_crit is larger with ν over the set's frequencies."""
    memory: str = "law"
    """Costs of the memorisers: a power law; or "both", a law with another size's costs as well."""
    partly: float = 0.4
    """Slope of J in log size of networks from scratch near the change."""
    late: dict = field(default_factory=lambda: {"main": 0.95, "scratch": 0.6})
    """Accuracy gained later than five fit times; of scratch, at 460 pairs."""
    accuracy: dict = field(default_factory=dict)
    """Accuracies of some arms, set by hand: {arm: {size: accuracy}}."""
    slow: dict = field(
        default_factory=lambda: {
            "both-slow": 1.0,
            "both-fast": 0.3,
            "rate-only": 0.75,
            "rate-little": 0.86,
        }
    )
    """Delay ÷ fit time over main's."""
    half: dict = field(default_factory=dict)
    """By how much arms were more accurate at half their length."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm, stream):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, seeds, size = np.random.default_rng(stream), runs.seeds, runs.each("pairs")
        first = min(x.seed for x in experiment.default)
        own = np.random.default_rng(7).normal(0, 0.02, (2, 24))[
            int(arm.startswith("others")), seeds - first
        ]
        rise = self.partly if arm == "scratch" else self.generalising
        cost = 0.02 * np.exp(rise * np.log(size / 800) + own + rng.normal(0, 0.003, len(runs)))
        if arm == "memorise":
            cost = 0.02 * np.exp(self.memorised(size) + rng.normal(0, 0.003, len(runs)))
        best = 0.02 * np.exp(
            self.beta * (np.log(self.critical) - CENTRE) + rng.normal(0, 0.003, len(runs))
        )
        middle = {"scratch": self.scratch, "others-ungrok": self.others}.get(arm, self.ungrok)
        moved = (
            1.5 * own + rng.normal(0, 0.005, 24)[seeds - first]
            if runs.shared.continued
            else 0.02 * own
        )
        test = logistic((size - middle * np.exp(moved)) / 20)
        test = test.clip(0.001, 0.999) + rng.normal(0, 0.0005, len(runs))
        if arm in ("no-decay", "wandering"):
            test = (0.99 if arm == "no-decay" else 0.4) + rng.normal(0, 0.002, len(runs))
        if arm in (
            "strong-decay",
            "weak-decay",
        ):  # of the same seeds as ungrok, which has its own noise
            ungrok = self.measures("ungrok", list(experiment.arms).index("ungrok"))
            test = ungrok.test.values[ungrok.pairs.values == 350] + rng.normal(0, 0.01, len(runs))
        if arm == "memorise":
            test = 0.02 + rng.normal(0, 0.001, len(runs))
        for d, value in self.accuracy.get(arm, {}).items():
            test = np.where(size == d, value + rng.normal(0, 0.01, len(runs)), test)
        late = (
            self.late.get(arm, 0.0)
            - (0.45 if arm == "scratch" else 0) * (size == 400)
            + rng.normal(0, 0.01, len(runs))
        )
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
            start_test=("run", np.full(n, 0.98 if runs.shared.continued else 0.02), "share"),
            growth=("run", np.ones(n), "ratio"),
            fit=("run", np.full(n, 50.0), "steps"),
            grok=("run", 50 * (1 + patience), "steps"),
            late=("run", late, "share"),
            nu=("run", np.full(n, 122.0), "squared norm"),
            nu_set=("run", np.full(n, 136.0), "squared norm"),
            best_cost=("run", best, "nats"),
            best_cost_set=("run", best * np.exp(self.beta * self.set_law), "nats"),
            train_curve=("run step", np.ones((n, len(steps))), "share"),
            test_curve=("run step", np.ones((n, len(steps))), "share"),
        )

    def memorised(self, size):
        """log J over 0.02 of memorisers, about the mean log size."""
        sizes = np.unique(size)
        x = np.log(sizes) - CENTRE
        y = self.beta * x
        if (
            self.memory == "both"
        ):  # the same slope with its own costs, and with those under other sizes
            mixed = x[ORDER]
            y = 0.65 / (1 + x @ mixed / (x @ x)) * (x + mixed)
        return y[np.searchsorted(sizes, size)]


WORLD = World()
GIVEN = np.exp(CENTRE)
EVEN = replace(WORLD, critical=GIVEN, ungrok=GIVEN, scratch=GIVEN, set_law=0.0)
"""Where theory and sizes meet at the mean size of the memorisers, any order of their costs finds
it."""
SAME = replace(WORLD, critical=430.0)
"""Where costs cross at the size from scratch."""
LESS = replace(WORLD, accuracy={"ungrok": {350: 0.52}})
"""Where a third of the networks without weight decay make a difference hardly larger than the
margin."""


def at_speed(arm, patience):
    """The world in which an arm's delay ÷ fit time is so many times main's."""
    return replace(WORLD, slow=WORLD.slow | {arm: patience})


# claim → ([a world where it holds,] the world without the effect, {control: a world in which it
# passes too})
CASES = {
    "Memorising loses efficiency": (
        replace(WORLD, beta=0.2),
        {"generalise": replace(WORLD, generalising=0.7), "shuffled": replace(WORLD, memory="both")},
    ),
    "Generalising does not": (
        replace(WORLD, generalising=0.4),
        {"memorise": replace(WORLD, beta=0.0), "shuffled": replace(WORLD, beta=0.1)},
    ),
    "Ungrokking": (
        replace(WORLD, accuracy={"ungrok": {200: 0.9}}),
        {arm: replace(WORLD, accuracy={arm: {200: 0.02}}) for arm in ("no-decay", "wandering")},
    ),
    "On 450 of its pairs": (
        replace(WORLD, scratch=455.0),
        replace(WORLD, accuracy={"ungrok": {450: 0.3}}),
        {"scratch-half": replace(WORLD, accuracy={"scratch": {440: 0.9, 460: 0.9}})},
    ),
    "How much is forgotten": (
        LESS,
        replace(WORLD, accuracy={"strong-decay": {350: 0.95}}),
        {
            arm: replace(WORLD, accuracy={a: {350: 0.3} for a in (arm, "strong-decay", "ungrok")})
            for arm in ("no-decay", "wandering")
        },
    ),
    "Nor at w = 1e-5": (
        LESS,
        replace(WORLD, accuracy={"weak-decay": {350: 0.95}}),
        {
            arm: replace(WORLD, accuracy={a: {350: 0.3} for a in (arm, "weak-decay", "ungrok")})
            for arm in ("no-decay", "wandering")
        },
    ),
    "Semi-grokking": (
        replace(WORLD, accuracy={"scratch": {460: 0.99}}),
        {
            "at-400": replace(
                WORLD, accuracy={"scratch": {400: 0.5}}, late={"main": 0.95, "scratch": 0.85}
            ),
            "main": replace(WORLD, accuracy={"main": {800: 0.5}}),
        },
    ),
    "Hysteresis": (replace(WORLD, ungrok=430.0), {"others-ungrok": replace(WORLD, others=400.0)}),
    "Theory says where networks forget": (replace(WORLD, critical=500.0), {"shuffled": EVEN}),
    "Theory says where networks grok": (SAME, replace(WORLD, critical=300.0), {"shuffled": EVEN}),
    "Adam's steps are no gradient flow": (
        at_speed("both-slow", 1.5),
        {"rate-only": at_speed("rate-only", 1.0)},
    ),
    "The comment's guess": (
        at_speed("both-fast", 1.0),
        {arm: at_speed(arm, 0.3) for arm in ("rate-only", "both-slow")},
    ),
}


def test_of_three_networks_one_has_no_decay_in_the_planted_mean():
    arms = replace(WORLD, accuracy={"weak-decay": {350: 0.4}, "no-decay": {350: 1.0}}).arms()
    weak, mixed = arms["weak-decay"], arms["mixed-decay"]
    free = arms["no-decay"].isel(run=arms["no-decay"].pairs.values == 350)
    for seed in weak.seed.values:
        one, other, both = (a.test[a.seed.values == seed].item() for a in (weak, free, mixed))
        assert both == pytest.approx((2 * one + other) / 3)
    assert mixed.test.mean() == pytest.approx(0.6, abs=0.02)


@pytest.fixture(scope="module")
def world():
    return WORLD.arms()


@pytest.mark.parametrize(
    ("start", "changes", "reason"),
    [
        pytest.param(
            "Hysteresis",
            {"scratch": 410.0, "ungrok": 365.0, "half": {"scratch": -0.3}},
            "gate converged",
            marks=pytest.mark.thorough,
        ),  # half as long, it would have been a larger size
        (
            "Ungrokking",
            {"accuracy": {"ungrok": {200: 0.06}}, "half": {"ungrok": -0.05}},
            "gate converged",
        ),  # it still rises
        pytest.param(
            "Hysteresis",
            {"scratch": 700.0},
            "too few units: 0 of 6 seeds",
            marks=pytest.mark.thorough,
        ),  # beyond the sizes, and never their edge
        ("Theory says where networks forget", {"ungrok": 150.0}, "too few units: 0 of 6 seeds"),
    ],
)
def test_what_cannot_be_told_is_undecided(start, changes, reason):
    verdict = judge(claim_of(experiment, start), replace(WORLD, **changes).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", reason)


@pytest.mark.parametrize(
    ("arm", "measure", "value", "start", "gate"),
    [
        ("ungrok", "train", 0.9, "Ungrokking", "fitted"),
        ("ungrok", "start_test", 0.9, "Ungrokking", "grokked before"),
        ("at-460", "train", 0.9, "Semi-grokking", "fitted"),
    ],
)
def test_gates(arm, measure, value, start, gate, world):
    changed = world[arm].copy(deep=True)
    changed[measure][0] = value
    verdict = judge(claim_of(experiment, start), {**world, arm: changed}).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", f"gate {gate}")


def test_the_simulation_is_exact(world):
    exact = [e for e in experiment.claims if isinstance(e, Exact)]
    assert [verify(e, world).outcome for e in exact] == ["exact"] * 5


def test_a_simulation_with_another_efficiency_violates(world, monkeypatch):
    monkeypatch.setattr(
        grokking_efficiency, "BASE", replace(grokking_efficiency.BASE, efficiency_m=1 / 4)
    )
    outcomes = [verify(e, world).outcome for e in experiment.claims if isinstance(e, Exact)]
    assert outcomes[1] == "violated"


def test_findings_say_what_was_planted(world):
    found = {
        f.text: estimate(f, world).estimate for f in experiment.claims if isinstance(f, Finding)
    }
    all_of, of_set = (
        found[f"D_crit, from the cheapest circuits, ν over {which}"]
        for which in ("all frequencies", "those of the set")
    )
    assert all_of == pytest.approx(340, rel=0.02)
    assert of_set / all_of == pytest.approx(np.exp(0.05), rel=1e-3)
    assert found["U50, at which accuracy after ungrokking is a half"] == pytest.approx(
        335, rel=0.03
    )
    assert found["D50, at which accuracy from scratch is a half"] == pytest.approx(430, rel=0.02)
    assert found[
        "log U50/D_crit, from the cheapest circuits, ν over all frequencies"
    ] == pytest.approx(np.log(335 / 340), abs=0.02)


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
        ({"lr": 0.0}, "Grokking.lr must be positive, got 0"),
        (
            {"pairs": 818},
            "other arms' sizes scale with Grokking.pairs: at p=53 it must be at most 817, got 818",
        ),
    ],
)
def test_impossible_specs_are_refused_in_one_line(changes, message):
    with pytest.raises(SpecError) as e:
        experiment.specs_of("generalise", (experiment.default[0].replace(**changes),))
    assert str(e.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels=random", "Grokking.labels is for arms to set: leave it at 'sums', got 'random'"),
        ("replicate=1", "Grokking.replicate is for arms to set: leave it at 0, got 1"),
        (
            "pairs=1",
            (
                "other arms' sizes scale with Grokking.pairs, which must be at least 40 for them "
                "to differ, got 1"
            ),
        ),
        (
            "pairs=700,800",
            "a preset has one Grokking.pairs, of which arms make others, got 700, 800",
        ),
    ],
)
def test_what_arms_cannot_be_made_of_is_refused_before_training(text, message):
    from assay.lab.plan.preset import override

    with pytest.raises(SpecError) as e:
        override(experiment, "default", [text])
    assert str(e.value) == message
