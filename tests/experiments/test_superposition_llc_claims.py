"""Planted worlds for superposition-llc: measures in which its claims hold, fail, and are made vacuous by their controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this experiment's own is tested here.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.core.claims import Claim, Exact
from assay.core.errors import SpecError
from assay.core.findings import verify
from assay.core.fit import Unkept
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.superposition_llc import STATES, SuperpositionLLC, at_polygons, experiment, train

TRAINED = ("main", "main-half", "wide", "wide-half", "linear")
CHAINS = ("polygons", "polygons-fine", "turned", "pulled")
TRUE = {"5": 7.0, "5+": 8.5, "6": 8.5}
SAME = dict.fromkeys(STATES, 8.5)
FIVE, ONE_ON = (5, 0, 0.0687, 7.0), (5, 1, 0.0618, 8.5)
ENDS = [FIVE, ONE_ON, FIVE, ONE_ON, (6, 0, 0.0482, 8.5), (4, 0, 0.1111, 7.3)]
"""Sides, positive dead biases, loss and estimate of the ends that runs have in turn."""
FLAT = [(k, p, loss, 8.0) for k, p, loss, _ in ENDS]
DERIVED = {name: arm.derive for name, arm in experiment.arms.items() if arm.derive}


@dataclass(frozen=True)
class World:
    """Per arm: how far final losses lie from a level; true estimates of states; what ends cost; estimates where plateaus were left."""

    off: dict = field(default_factory=lambda: dict.fromkeys(TRAINED, 1e-4) | {"linear": 0.07})
    llc: dict = field(
        default_factory=lambda: dict.fromkeys(CHAINS, TRUE) | {"turned": SAME, "pulled": dict.fromkeys(STATES, 3.5)}
    )
    ends: dict = field(default_factory=lambda: dict.fromkeys(("along", "stayed", "ends", "ends-fine"), ENDS))
    left: dict = field(default_factory=lambda: {"along": -9_000.0, "stayed": None, "ends": -500.0, "ends-fine": -500.0})
    """None: what the end has."""
    lowest: dict = field(default_factory=lambda: {"along": -0.2})
    """Lowest curvature at the plateau left."""
    noise: float = 0.2
    """Standard deviation of one chain's estimate."""
    drift: float = 0.0
    accepted: float = 0.98
    given: dict = field(default_factory=dict)
    """Derived arms whose measures are replaced: {arm: what is assigned, as functions of its measures}."""

    def arms(self) -> dict:
        made = {name: self.measures(name, i) for i, name in enumerate(experiment.arms) if name not in DERIVED}
        for name, derive in DERIVED.items():
            made[name] = derive(made) if name not in self.given else self.given[name](made)
        return made

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, n = np.random.default_rng(stream), len(runs)
        if arm in TRAINED:
            k, p, loss = (np.array([ENDS[i % len(ENDS)][j] for i in range(n)], float) for j in range(3))
            off = np.where(arm == "linear", self.off[arm], rng.uniform(0, self.off[arm], n))
            return measures(
                runs,
                coords={"time": [1, 100, 6000]},
                loss=("run time", np.stack([0.29 + 0 * loss, 0.2 + 0 * loss, loss], 1), "squared input"),
                off=("run", off, "share of the level"),
                sides=("run", k, "sides"),
                positive=("run", p, "columns"),
                lowest=("run plateau", np.tile([-0.2, 0.0, np.nan, np.nan], (n, 1)), "squared input"),
                left=("run plateau", np.tile([True, False, False, False], (n, 1)), "bool"),
                W=("run column axis", rng.normal(size=(n, 6, 2)), "1"),
                b=("run column", rng.normal(size=(n, 6)), "input"),
            )
        moment = arm not in CHAINS
        if moment:
            k, p, loss, at = (np.array([self.ends[arm][i % len(ENDS)][j] for i in range(n)], float) for j in range(4))
            true = np.stack([at, at if self.left[arm] is None else np.full(n, self.left[arm])], 1)
            place = {
                "lowest": np.stack([np.zeros(n), np.full(n, self.lowest.get(arm, 0.0))], 1),
                "at": np.stack([loss, np.full(n, 0.28)], 1),
                "sides": np.stack([k, np.full(n, np.nan)], 1),
                "positive": np.stack([p, p], 1),
            }
        else:
            true = np.array([self.llc[arm][s] for s in runs.each("state").tolist()])
            place = {"lowest": 0 * true, "at": 0.06 + 0 * true, "sides": 5 + 0 * true, "positive": 0 * true}
        curved = 0 * true + 17 if moment else np.array([2 * TRUE[s] for s in runs.each("state").tolist()])
        dims = "run moment" if moment else "run"
        named = place | {
            "llc": true + rng.normal(0, self.noise, true.shape), "moved": self.drift + rng.normal(0, self.noise, true.shape),
            "accepted": self.accepted + 0 * true, "curved": curved, "expected": curved / 2,
        }  # fmt: skip
        return measures(
            runs,
            coords={"moment": ("end", "left")} if moment else {},
            **({"left": ("run", np.ones(n, bool), "bool")} if moment else {}),
            **{k: (dims, v, "1") for k, v in named.items()},
        )


WORLD = World()


def but(of: str, **changes) -> World:
    """The world with other numbers for some arms."""
    return replace(WORLD, **{of: getattr(WORLD, of) | {k.replace("_", "-"): v for k, v in changes.items()}})


def main_too(arms):
    return arms["main"]


LEVELS_ANYWHERE = replace(WORLD, given={"random": main_too})
APART = {"5": 7.0, "5+": 7.5, "6": 8.5}
ALWAYS = but("llc", polygons=APART, polygons_fine=APART)

CLIMBING = replace(but("left", along=5.0), lowest={"along": 0.0})
"""Training leaves stable states of a lower estimate."""

# claim → ([a world where it holds,] the world without the effect, {control: a world in which it passes too})
CASES = {
    "Training stops at critical points": (
        but("off", main=0.2, main_half=0.2),
        {"random": LEVELS_ANYWHERE, "linear": but("off", linear=1e-3)},
    ),
    "From wide starts, too": (
        but("off", wide=0.2, wide_half=0.2),
        {"random": LEVELS_ANYWHERE, "linear": but("off", linear=1e-3)},
    ),
    "What training leaves is no minimum": (but("left", along=8.0), {"stayed": but("left", stayed=-9.0)}),
    "Along one training the LLC rises": (
        CLIMBING,
        replace(CLIMBING, left=CLIMBING.left | {"along": None}),
        {"stayed": replace(CLIMBING, left=CLIMBING.left | {"stayed": 5.0})},
    ),
    "At smooth minima chains give": (
        but("llc", polygons=dict.fromkeys(STATES, 9.5), polygons_fine=dict.fromkeys(STATES, 9.5)),
        {"pulled": but("llc", pulled=TRUE)},
    ),
    "A lower loss can cost complexity": (
        but("llc", polygons=SAME, polygons_fine=SAME),
        {"turned": but("llc", turned=TRUE), "mixed": replace(WORLD, given={"mixed": lambda arms: arms["polygons"]})},
    ),
    "It always does": (ALWAYS, WORLD, {"turned": but("llc", polygons=APART, polygons_fine=APART, turned=APART)}),
    "Between trainings lower goes with": (
        but("ends", ends=FLAT, ends_fine=FLAT),
        {"dealt": replace(WORLD, given={"dealt": lambda arms: arms["ends"]})},
    ),
}  # fmt: skip
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]
EXACT = [c for c in experiment.claims if isinstance(c, Exact)]


def claim_of(start: str) -> Claim:
    [found] = [c for c in CLAIMS if c.text.startswith(start)]
    return found


@pytest.mark.parametrize("change", [{"drift": 1.0}, {"accepted": 0.3}])
def test_chains_that_drift_or_overshoot_decide_nothing(change):
    verdict = judge(claim_of("A lower loss can cost"), replace(WORLD, **change).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate sound")


def test_what_half_the_step_changes_decides_nothing():
    verdict = judge(claim_of("A lower loss can cost"), but("llc", polygons_fine=SAME).arms()).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def test_runs_that_left_no_plateau_say_nothing_about_what_is_left():
    arms = WORLD.arms()
    still = arms["along"].copy(deep=True)
    still["left"].values[:50] = False
    still.llc.values[:50, 1] = 8.0
    verdict = judge(claim_of("What training leaves"), arms | {"along": still}).verdict
    assert verdict.outcome == "holds" and verdict.n == {"seed": 14}


def test_where_no_stable_state_is_left_nothing_is_said_about_a_rise():
    judged = judge(claim_of("Along one training"), WORLD.arms())
    assert (judged.verdict.outcome, judged.verdict.reason) == ("undecided", "too few units: 0 of 6 seeds")
    assert judged.verdict.price.text == (
        "more seeds alone do not help: none of 64 has what the claim compares; change what is trained"
    )
    assert judged.controls["stayed"].outcome == "fails"


def test_theorems_hold_without_any_run():
    assert [verify(e, WORLD.arms()).outcome for e in EXACT] == ["exact"] * len(EXACT)


def test_mixed_labels_use_each_estimate_once():
    arms = WORLD.arms()
    for state in ("5", "5+", "6"):
        assert (arms["mixed"].state.values == arms["polygons"].state.values).all(), state
    assert np.sort(arms["mixed"].llc.values).tolist() == np.sort(arms["polygons"].llc.values).tolist()
    own, mixed = (by_state(arms[name]) for name in ("polygons", "mixed"))
    assert own["6"].mean() - own["5"].mean() == pytest.approx(1.5, abs=0.3) and abs(mixed["6"].mean() - mixed["5"].mean()) < 0.4


def by_state(arm):
    return {s: arm.llc.values[arm.state.values == s] for s in STATES}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"columns": 4, "state": "5"}, "no polygon with 5 sides fits 4 columns"),
        ({"state": "5++"}, "6 columns leave 1 dead"),
        ({"around": "square"}, "a state is called by its sides"),
        ({"columns": 12}, "worked out for 1 to 10 columns"),
        ({"columns": 2}, "columns must be at least 3"),
        ({"step": 1e-4}, r"step must be above 0 and below 2\.76e-05, where the steepest direction becomes unstable"),
        ({"step": 0.0}, "step must be above 0"),
        ({"localisation": -1.0}, "localisation, the pull towards the state, must be above 0"),
        ({"localisation": 0.0}, "must be above 0: without it chains wander off"),
        ({"samples": 1}, "samples must be at least 2"),
        ({"lr": 1.2}, "lr must be above 0 and below 1"),
        ({"burn": 8_000}, "draws is a multiple of 100 above burn=8000"),
        ({"beside": "middle"}, 'beside is "left", "end" or nothing'),
        ({"draws": 8_050}, "draws is a multiple of 100"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(fields, says):
    with pytest.raises(SpecError, match=says) as error:
        SuperpositionLLC(**fields)
    assert "\n" not in str(error.value)


def test_too_few_columns_for_the_judged_states_are_refused_before_training():
    with pytest.raises(SpecError, match="no polygon with 5 sides fits 4 columns"):
        experiment.specs_of("polygons", tuple(s.replace(columns=4) for s in experiment.default))


def test_a_chain_alone_is_the_chain_among_others():
    specs = experiment.specs_of("turned", experiment.smoke)
    among = at_polygons(Runs(specs), Unkept()).tensors
    alone = at_polygons(Runs(specs[-1:]), Unkept()).tensors
    for name in ("llc", "moved", "accepted", "W"):
        np.testing.assert_allclose(alone[name][0].numpy(), among[name][-1].numpy(), rtol=1e-5, err_msg=name)
    turned = among["W"].norm(dim=-1)
    np.testing.assert_allclose(turned.numpy(), 1.3205263, rtol=1e-6)
    assert len(np.unique(np.round(among["W"][:, 0, 0].numpy(), 6))) == len(specs)


def test_noise_and_polygon_starts_can_be_asked_for():
    base = experiment.smoke[0].replace(steps=50)
    around = train(Runs([base.replace(around="4", start=0.01, seed=s) for s in range(3)]), Unkept()).tensors
    assert ((around["W"].norm(dim=-1) > 0.9).sum(1) == 4).all()
    noisy = train(Runs([base.replace(data=100, batch=8, seed=s) for s in range(3)]), Unkept())
    assert not noisy.diverged.any() and noisy.history["loss"].shape[0] == 3
