"""Every claim of capacity can hold, can fail, and can be made vacuous by its control; planted
measures, and little trainings."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from named_claims import claim_of
from planted_arms import planted_arms

from assay.core.bench import Unkept
from assay.core.claims import Exact
from assay.core.errors import SpecError
from assay.core.estimates import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.capacity import experiment
from assay_catalogue.experiments.capacity.method import Capacity, measure

IMPORTANCE = 0.9 ** np.arange(5)
ASIDE = np.linspace(-0.5, 0.5, 5)
"""Times a spread, plus one: numbers of mean 1 whose range is that spread."""
TWO = np.array([1.0, 1, 0, 0, 0])
"""A dimension each for two features."""
EVEN = 0.4 + 0.04 * ASIDE
"""Two dimensions for five, nearly alike."""
UNEVEN = 0.4 + 0.3 * ASIDE


@dataclass(frozen=True)
class World:
    """Per arm: capacities, what more is worth below density 1 and at it, and what finite
    differences miss of a slope."""

    shares: dict = field(
        default_factory=lambda: {
            "main": EVEN,
            "early": 0.99 * UNEVEN,
            "untrained": 0.9 * UNEVEN,
            "scattered": 0.7 * UNEVEN,
            "benefit": 0.995 * EVEN,
            "benefit-scattered": 0.7 * UNEVEN,
            "benefit-linear": 0.9 * UNEVEN,
        }
    )
    worth: dict = field(
        default_factory=lambda: {
            "benefit": 3 * (1 + 0.15 * ASIDE),
            "benefit-scattered": 2 * (1 + 0.6 * ASIDE),
            "benefit-linear": IMPORTANCE,
        }
    )
    off: dict = field(default_factory=lambda: {"envelope": 0.01, "early": 0.4})
    missed: float = 0.0
    gap: float = 0.0
    """Capacity less dimensionality."""
    near: float = 0.3
    """Capacity less each of its near misses."""
    excess: float = 0.0
    """Capacity beyond the dimensions there are."""
    backprop: float = 0.0

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, p = np.random.default_rng(stream), runs.each("density")
        noise = np.exp(rng.normal(0, 0.01, len(runs)))[:, None]
        one = (p == 1)[:, None]
        share = self.shares.get(arm, EVEN)
        capacity = share.mean() + (share - share.mean()) * noise
        capacity = np.where(one & arm.startswith("main"), share.sum() / 2 * TWO, capacity) * (
            1 - 0.0004 * rng.random((len(runs), 1))
        )
        named = {
            "capacity": ("run feature", capacity + self.excess, "dimensions"),
            "identity_gap": ("run", np.full(len(runs), self.gap), "dimensions"),
            "unsquared_gap": ("run", np.full(len(runs), self.near), "dimensions"),
            "cosines_gap": ("run", np.full(len(runs), self.near), "dimensions"),
            "backprop_gap": ("run", np.full(len(runs), self.backprop), "1"),
        }
        if arm in self.worth:
            worth = self.worth[arm].mean() + (self.worth[arm] - self.worth[arm].mean()) * noise
            named["wanted"] = ("run feature", np.where(one, TWO, EVEN), "dimensions")
            named["benefit"] = ("run feature", np.where(one, TWO, worth), "variance of a feature")
            named["missed"] = ("run feature", np.full((len(runs), 5), self.missed), "dimensions")
        if arm in self.off:
            named["partial"] = ("run feature", 0.01 * IMPORTANCE * noise, "squared input")
            named["slope"] = (
                "run feature",
                0.01 * IMPORTANCE * noise * (1 + self.off[arm] * noise),
                "squared input",
            )
        if arm in ("main", "untrained"):
            named["total"] = (
                "run start",
                capacity.sum(1, keepdims=True) * np.ones(8),
                "dimensions",
            )
        return measures(runs, **named)


WORLD = World()


def but(of: str, **changes) -> World:
    """The world with other numbers for some arms."""
    return replace(
        WORLD, **{of: getattr(WORLD, of) | {k.replace("_", "-"): v for k, v in changes.items()}}
    )


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Training uses up all capacity": (
        but("shares", main=0.9 * EVEN, main_half=0.9 * EVEN),
        {arm: but("shares", **{arm: EVEN}) for arm in ("early", "untrained", "scattered")},
    ),
    "Importance decides who gets a share": (
        but("shares", main=UNEVEN, main_half=UNEVEN),
        {arm: but("shares", **{arm: EVEN}) for arm in ("early", "scattered")},
    ),
    "At the optimum the loss moves": (but("off", envelope=0.2), {"early": but("off", early=0.01)}),
    "More capacity is worth the same": (
        but("worth", benefit=3 * (1 + 0.5 * ASIDE)),
        {
            "benefit-linear": but("worth", benefit_linear=1 + 0.1 * ASIDE),
            "benefit-scattered": but("worth", benefit_scattered=2 * (1 + 0.1 * ASIDE)),
        },
    ),
}
EXACT = {e.text.split(":")[0]: e for e in experiment.claims if isinstance(e, Exact)}


@pytest.mark.parametrize(
    ("start", "longer"),
    [
        ("Training uses up all capacity", 0.9985 * EVEN),
        ("Importance decides who gets a share", 0.4 + 0.08 * ASIDE),
    ],
)
def test_what_training_still_takes_away_decides_nothing(start, longer):
    verdict = judge(
        claim_of(experiment, start), but("shares", main=longer, main_half=EVEN).arms()
    ).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_benefits_at_other_capacities_than_asked_decide_nothing():
    verdict = judge(
        claim_of(experiment, "More capacity is worth the same"), replace(WORLD, missed=0.01).arms()
    ).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate held")


@pytest.mark.parametrize(
    ("start", "broken"),
    [
        ("Capacity is dimensionality", replace(WORLD, gap=1e-3)),
        ("Two near misses are not", replace(WORLD, near=1e-3)),
        ("No weights have more capacity than dimensions", replace(WORLD, excess=0.01)),
        ("By backprop an importance weighs", replace(WORLD, backprop=1e-3)),
    ],
)
def test_what_is_exact_is_checked(start, broken):
    [statement] = [e for text, e in EXACT.items() if text.startswith(start)]
    assert verify(statement, WORLD.arms()).outcome == "exact"
    assert verify(statement, broken.arms()).outcome == "violated"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"features": 7},
            "Capacity.features must be from 1 to 6, as expected losses are enumerated, got 7",
        ),
        ({"width": 6}, "Capacity.width is the rank, at most the 5 features, got 6"),
        ({"density": 0.0}, "Capacity.density must be above 0 and at most 1, got 0"),
        ({"density": 1.5}, "Capacity.density must be above 0 and at most 1, got 1.5"),
        ({"short": 1.0}, "Capacity.short must be above 0 and below 1, got 1"),
        (
            {"asked": "more"},
            "Capacity.asked must be one of '', 'scatter', 'benefit', 'envelope', got 'more'",
        ),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError) as e:
        Capacity(**wrong)
    assert said in str(e.value) and "\n" not in str(e.value)


def test_what_arms_ask_cannot_be_set():
    with pytest.raises(SpecError, match="asked is for arms to set: leave it at ''"):
        experiment.specs_of("main", tuple(s.replace(asked="benefit") for s in experiment.smoke))


def trained(arm, specs):
    """An arm's runs, through the arm it builds on."""
    a = experiment.arms[arm]
    pairs = [
        (child, parent)
        for child, parent in experiment.pairs(arm, experiment.smoke)
        if child in specs
    ]
    runs = Runs([child for child, _ in pairs])
    if a.after is None:
        return runs, a.train(runs, Unkept())
    parents = [parent for _, parent in pairs]
    known, before = trained(a.after, parents)
    rows = [known.specs.index(parent) for parent in parents]
    before = replace(
        before,
        tensors={k: v[rows] for k, v in before.tensors.items()},
        diverged=before.diverged[rows],
    )
    return runs, a.train(runs, Unkept(), before)


@pytest.mark.parametrize(
    "arm",
    [
        "scattered",
        "benefit",
        "benefit-linear",
        pytest.param("envelope", marks=pytest.mark.thorough),
    ],
)
def test_a_run_alone_is_the_run_among_others(arm):
    specs = experiment.specs_of(arm, experiment.smoke)[:4]
    runs, together = trained(arm, specs)
    one, alone = trained(arm, specs[-1:])
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(
            tensor[0], together.tensors[name][-1], rtol=1e-5, atol=1e-7, equal_nan=True
        )
    mine, theirs = measure(one, alone, Unkept()), measure(runs, together, Unkept())
    np.testing.assert_allclose(mine.expected[0], theirs.expected[-1], rtol=1e-5)


def test_scattered_weights_keep_their_lengths():
    specs = experiment.specs_of("scattered", experiment.smoke)
    before = measure(*trained("main", experiment.specs_of("main", experiment.smoke)), Unkept())
    scattered = measure(*trained("scattered", specs), Unkept())
    np.testing.assert_allclose(scattered.norm, before.norm, rtol=1e-5)
    assert (abs(scattered.capacity - before.capacity).max("feature") > 0.01).all()
