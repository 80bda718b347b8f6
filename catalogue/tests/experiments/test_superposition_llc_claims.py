"""Planted worlds for superposition-llc: measures in which its claims hold, fail, and are made
vacuous by their controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

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
from assay_catalogue.experiments.superposition_llc import experiment
from assay_catalogue.experiments.superposition_llc.method import MOMENTS, SuperpositionLLC, train
from assay_catalogue.worlds.bottleneck import stages

STOPPING = ("main", "main-half", "wide", "wide-half", "linear")
SQUARES = ("sampled", "calm", "plenty", "still")
ENDS = [
    (5, 0, 0.0687, 7.0),
    (5, 1, 0.0618, 8.5),
    (5, 0, 0.0687, 7.0),
    (5, 1, 0.0618, 8.5),
    (6, 0, 0.0482, 8.5),
    (4, 0, 0.1111, 7.5),
]
"""Sides, positive dead biases, loss and estimate of the ends that runs have in turn."""
PASSED = [
    (5, 0, 0.0687, 7.0, 4, 1, 8.0),
    (4, 1, 0.1042, 8.0, 4, 1, 8.0),
    (5, 1, 0.0618, 8.5, 4, 2, 8.5),
    (4, 0, 0.1111, 7.5, 4, 0, 7.5),
]
"""The same of trainings from squares, and sides, positive dead biases and estimate of the states
that they were in before."""


@dataclass(frozen=True)
class World:
    """Per arm: how far final losses lie from a level, what ends cost, the share that passes; and
    what states along a training cost."""

    off: dict = field(default_factory=lambda: dict.fromkeys(STOPPING, 1e-4) | {"linear": 0.07})
    over: dict = field(
        default_factory=lambda: {"ends": 1.0, "ends-fine": 1.0, "pulled": 0.6, "passing": 1.0}
    )
    """Estimates over what they should be."""
    flat: bool = False
    """Whether all ends cost the same."""
    share: dict = field(
        default_factory=lambda: {"sampled": 0.5, "calm": 0.4, "plenty": 0.4, "still": 0.0}
    )
    climbs: float = 1.5
    """By how much the estimate rises where a training passes."""
    climbs_anyway: float = 0.0
    """By how much it rises where it does not."""
    gained: int = 0
    """How many columns more are in use after a passage."""
    alike: bool = False
    """Whether all trainings that pass have one kind of state before and after."""
    noise: float = 0.2
    """Standard deviation of a run's estimate."""
    drift: float = 0.0
    accepted: float = 0.98
    given: dict = field(default_factory=dict)
    """Derived arms whose measures are replaced: {arm: what is assigned, as functions of its
    measures}."""

    def arms(self) -> dict:
        made = planted_arms(experiment, self.measures)
        return made | {n: make(made).assign_attrs(made[n].attrs) for n, make in self.given.items()}

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, n = np.random.default_rng(stream), len(runs)
        if arm in STOPPING:
            k, p, loss = (
                np.array([ENDS[i % len(ENDS)][j] for i in range(n)], float) for j in range(3)
            )
            off = np.where(arm == "linear", self.off[arm], rng.uniform(0, self.off[arm], n))
            return measures(
                runs,
                coords={"time": [1, 100, 6000]},
                loss=(
                    "run time",
                    np.stack([0.29 + 0 * loss, 0.2 + 0 * loss, loss], 1),
                    "squared input",
                ),
                off=("run", off, "share of the level"),
                sides=("run", k, "sides"),
                positive=("run", p, "columns"),
                lowest=(
                    "run plateau",
                    np.tile([-0.2, 0.0, np.nan, np.nan], (n, 1)),
                    "squared input",
                ),
                left=("run plateau", np.tile([True, False, False, False], (n, 1)), "bool"),
                W=("run column axis", rng.normal(size=(n, 6, 2)), "1"),
                b=("run column", rng.normal(size=(n, 6)), "input"),
            )
        if arm in SQUARES:
            over = rng.permutation(n) < round(self.share[arm] * n)
            sides = np.stack([np.full(n, 4.0), 4.0 + over], 1)
            return measures(
                runs,
                coords={"time": [100, 12000]},
                sides=("run time", sides, "sides"),
                passed=("run", over.astype(float), "bool"),
            )
        if arm == "passing":
            rows = [PASSED[(0 if self.alike and i % 2 == 0 else i) % len(PASSED)] for i in range(n)]
            k, p, loss, llc, k0, p0, llc0 = np.array(rows, float).T
            left = k > k0
            p0 = np.where(left, p0 - self.gained, p0)
            llc0 = llc - np.where(left, self.climbs, self.climbs_anyway)
            place = {
                "llc": np.stack([llc * self.over[arm], llc0], 1),
                "at": np.stack([loss, loss + 0.03], 1),
                "sides": np.stack([k, k0], 1),
                "positive": np.stack([p, p0], 1),
            }
        else:
            k, p, loss, llc = (
                np.array([ENDS[i % len(ENDS)][j] for i in range(n)], float)[:, None]
                for j in range(4)
            )
            left, flat = np.zeros(n, bool), self.flat and not arm.startswith("passing")
            place = {
                "llc": (0 * llc + 8.0 if flat else llc) * self.over[arm],
                "at": loss,
                "sides": k,
                "positive": p,
            }
        true = place["llc"]
        half = np.where(place["sides"] + place["positive"] == 5, 7.0, 8.5)
        if self.flat:
            half = 0 * half + 8.0
        named = place | {
            "llc": true + rng.normal(0, self.noise, true.shape),
            "moved": self.drift + rng.normal(0, self.noise, true.shape),
            "accepted": self.accepted + 0 * true,
            "curved": 2 * half,
            "expected": half,
            "lowest": 0 * true,
        }
        return measures(
            runs,
            coords={"moment": MOMENTS[: true.shape[1]]},
            left=("run", left, "bool"),
            **{name: ("run moment", v, "1") for name, v in named.items()},
        )


WORLD = World()


def but(of: str, **changes) -> World:
    """The world with other numbers for some arms."""
    return replace(
        WORLD, **{of: getattr(WORLD, of) | {k.replace("_", "-"): v for k, v in changes.items()}}
    )


def as_main(arms):
    return arms["main"]


LEVELS_ANYWHERE = replace(WORLD, given={"random": as_main})

# claim → ([a world where it holds,] the world without the effect, {control: a world in which it
# passes too})
CASES = {
    "Training stops at critical points": (
        but("off", main=0.2, main_half=0.2),
        {"random": LEVELS_ANYWHERE, "linear": but("off", linear=1e-3)},
    ),
    "From wide starts, too": (
        but("off", wide=0.2, wide_half=0.2),
        {"random": LEVELS_ANYWHERE, "linear": but("off", linear=1e-3)},
    ),
    "Between trainings lower goes with": (
        replace(WORLD, flat=True),
        {"dealt": replace(WORLD, given={"dealt": lambda arms: arms["ends"]})},
    ),
    "The noise of small batches": (but("share", plenty=0.0), {"still": but("share", still=0.4)}),
    "A finite sample does": (
        but("share", plenty=0.0),
        replace(WORLD, share=WORLD.share | {"calm": 0.0, "plenty": 0.0}),
        {"plenty": WORLD, "still": but("share", still=0.4)},
    ),
    "Along one training the LLC rises": (
        replace(WORLD, climbs=0.0),
        {"remained": replace(WORLD, climbs_anyway=1.5)},
    ),
    "What becomes the fifth corner": (
        replace(WORLD, gained=1),
        {"exchanged": replace(WORLD, alike=True)},
    ),
}
EXACT = [c for c in experiment.claims if isinstance(c, Exact)]


@pytest.mark.parametrize("change", [{"drift": 1.0}, {"accepted": 0.3}])
def test_chains_that_drift_or_overshoot_decide_nothing(change):
    verdict = judge(
        claim_of(experiment, "Between trainings"), replace(WORLD, **change).arms()
    ).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate sound")


def test_what_half_the_step_changes_decides_nothing():
    arms = replace(WORLD, noise=0.8).arms()
    fine = arms["ends-fine"].assign(llc=-arms["ends-fine"]["at"])  # the correlation is −1 there
    verdict = judge(claim_of(experiment, "Between trainings"), arms | {"ends-fine": fine}).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_only_trainings_that_pass_say_what_a_passage_costs():
    arms = WORLD.arms()
    judged = judge(claim_of(experiment, "Along one training"), arms)
    assert judged.verdict.outcome == "holds" and judged.verdict.n == {
        "seed": int(arms["passing"].left.sum())
    }
    assert judged.controls["remained"].n == {"seed": int((~arms["passing"].left).sum())}


def test_where_no_training_passes_nothing_is_said_about_a_rise():
    arms = WORLD.arms()
    still = arms["passing"].copy(deep=True)
    still["left"].values[:] = False
    judged = judge(claim_of(experiment, "Along one training"), arms | {"passing": still})
    assert (judged.verdict.outcome, judged.verdict.reason) == (
        "undecided",
        "too few units: 0 of 6 seeds",
    )


def test_states_are_exchanged_among_trainings_that_passed_only():
    arms = WORLD.arms()
    own, other = arms["passing"], arms["exchanged"]
    left = own.left.values
    assert (own.positive.values[~left] == other.positive.values[~left]).all() and (
        own.llc.values[:, 0] == other.llc.values[:, 0]
    ).all()
    assert sorted(own.positive.values[left, 1]) == sorted(other.positive.values[left, 1])
    assert (own.positive.values[left, 1] != other.positive.values[left, 1]).mean() > 0.3


def test_theorems_hold_without_any_run():
    assert [verify(e, WORLD.arms()).outcome for e in EXACT] == ["exact"] * len(EXACT)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"around": "square"}, "a state is called by its sides"),
        ({"columns": 12, "around": "4"}, "worked out for 1 to 10 columns"),
        ({"columns": 2}, "columns must be at least 3"),
        (
            {"step": 1e-4},
            (
                r"step must be above 0 and below 2\.76e-05, where the steepest direction becomes "
                r"unstable"
            ),
        ),
        ({"step": 0.0}, "step must be above 0"),
        ({"localisation": -1.0}, "localisation, the pull towards the state, must be above 0"),
        ({"localisation": 0.0}, "must be above 0: without it chains wander off"),
        ({"samples": 1}, "samples must be at least 2"),
        ({"lr": 1.2}, "lr must be above 0 and below 1"),
        ({"burn": 8_000}, "draws is a multiple of 100 above burn=8000"),
        ({"draws": 8_050}, "draws is a multiple of 100"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(fields, says):
    with pytest.raises(SpecError, match=says) as error:
        SuperpositionLLC(**fields)
    assert "\n" not in str(error.value)


def test_samples_and_polygon_starts_can_be_asked_for():
    base = experiment.smoke[0].replace(steps=50)
    around = train(
        Runs([base.replace(around="4", start=0.01, seed=s) for s in range(3)]), Unkept()
    ).tensors
    assert ((around["W"].norm(dim=-1) > 0.9).sum(1) == 4).all()
    noisy = train(Runs([base.replace(data=100, batch=8, seed=s) for s in range(3)]), Unkept())
    assert not noisy.diverged.any() and noisy.history["loss"].shape[0] == 3


def test_noise_is_taken_out_and_columns_that_are_off_are_parked():
    made = stages.exact([stages.polygons.parse_state(name, 6) for name in ("4+", "5", "5+")], 6)
    made["b"] = torch.where(made["b"] == -1.0, -0.02, made["b"])  # off, but only just
    shaken = {
        k: v + 0.004 * torch.from_numpy(np.random.default_rng(0).normal(size=v.shape))
        for k, v in made.items()
    }
    found = stages.settled({k: v[:, None] for k, v in shaken.items()})
    loss = stages.one_hot.potential({k: v[:, 0] for k, v in found.items()})
    assert loss.numpy() == pytest.approx([0.104167, 0.068741, 0.061797], abs=1e-5)
    assert (found["b"] == -1.0).sum(-1)[:, 0].tolist() == [1, 1, 0]
