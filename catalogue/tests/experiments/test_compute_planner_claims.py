"""Planted worlds for compute-planner: measures in which its claims hold, fail, and are made vacuous
by their controls.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from assay.cli.main import main
from assay.core.bench import Unkept
from assay.core.claims import Exact
from assay.core.errors import RunError, SpecError
from assay.core.estimates import verify
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments import compute_planner as planner
from assay_catalogue.experiments.compute_planner import claims as planner_claims
from assay_catalogue.experiments.compute_planner import commands, experiment
from assay_catalogue.experiments.compute_planner import method as planner_method
from assay_catalogue.experiments.compute_planner.method import SIZES, TIMED, Planner, measure, train

PILOTS = 32


@dataclass(frozen=True)
class World:
    """How far what came out departs from what was planned, in all units alike; and what controls
    plan where they are not derived."""

    cpu: float = 1.0
    clock: float = 1.2
    width: float = 1.05
    crossed: float = 1.02
    naive: float = 1.9
    """Crossed half-widths over those planned as if all of them narrowed."""
    planned: dict = field(default_factory=dict)
    """{arm: what it plans, over what came out}, where a control is to pass."""
    load: float = 1.05
    """Seconds by the clock for each CPU-second of a busy loop."""
    larger: float = 8.0
    """What commands of the larger size cost, over those of the small one."""

    def arms(self) -> dict:
        made = {
            name: self.measures(name) for name, arm in experiment.arms.items() if arm.derive is None
        }
        for name, arm in experiment.arms.items():
            if arm.derive is not None:
                made[name] = arm.derive(made)
        for name, over in self.planned.items():
            arm = made[name]
            kept = {
                v: arm[v] for v in map(str, arm) if not v.endswith(("_planned", "_low", "_high"))
            }
            spread = {"low": 0.5, "high": 2.0}
            beside = np.exp(np.random.default_rng(8).normal(0, 0.05, (arm.sizes["run"], 1)))
            times = {
                f"{w}_{end}": arm[w] * over * k * beside
                for w in ("cpu", "seconds")
                for end, k in spread.items()
                if w in kept
            }
            widths = {
                f"{k}_planned": arm[f"{k}_actual"] * over * beside
                for k in ("seeds", "crossed")
                if f"{k}_actual" in kept
            }
            made[name] = arm.assign({**kept, **times, **widths})
        return made

    def measures(self, arm: str):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng = np.random.default_rng(len(arm))
        noise = lambda *shape: np.exp(rng.normal(0, 0.05, (len(runs), *shape)))  # noqa: E731
        if arm == "timed":
            sizes = np.array([1.0, self.larger])
            middle = {"cpu": 4.0 * sizes * noise(2), "seconds": 5.0 * sizes * noise(2)}
            ranges = {
                f"{k}_{end}": m * by
                for k, m in middle.items()
                for end, by in (("low", 0.5), ("high", 2.0))
            }
            took = {
                "cpu": middle["cpu"] * self.cpu * noise(2),
                "seconds": middle["seconds"] * self.clock * noise(2),
            }
            named = {
                k: ("run size", v, "s")
                for k, v in (ranges | took | {"crowded": self.load * noise(2)}).items()
            }
            return measures(runs, coords={"size": ["small", "larger"]}, **named)
        actual = 0.1 * noise(PILOTS)
        widths = {
            "seeds_planned": actual / self.width * noise(PILOTS),
            "seeds_actual": actual,
            "seeds_naive": actual,
        }
        widths |= {
            "crossed_actual": actual,
            "crossed_planned": actual / self.crossed * noise(PILOTS),
        }
        widths |= {"crossed_naive": actual / self.naive * noise(PILOTS)}
        curves = {
            f"curve_{k}": ("run kind toys_bought", 0.1 * noise(2, len(SIZES)), "share of the loss")
            for k in ("planned", "actual")
        }
        named = {k: ("run pilot", v, "squared input") for k, v in widths.items()}
        return measures(
            runs,
            coords={"toys_bought": SIZES},
            **named,
            **curves,
            flop_per_toy=("run", np.ones(len(runs)), "FLOP"),
        )


WORLD = World()
ALIKE = replace(WORLD, larger=1.2)  # commands that all take about as long
# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Typically the CPU-seconds": (
        replace(WORLD, cpu=8.0),
        {"constant": ALIKE, "tenfold": replace(WORLD, planned={"tenfold": 1.0})},
    ),
    "The half-width that 24 toys": (
        replace(WORLD, width=2.0),
        {"by-n": replace(WORLD, planned={"by-n": 1.0})},
    ),
    "With blocks of inputs": (
        replace(WORLD, crossed=1.8),
        {"all-shrinks": replace(WORLD, naive=1.1)},
    ),
}


@pytest.mark.parametrize(
    "statement", [s for s in experiment.claims if isinstance(s, Exact)], ids=lambda s: s.text[:40]
)
def test_every_count_of_flop_is_exact(statement):
    assert verify(statement, WORLD.arms()).outcome == "exact"


def test_a_wrong_count_is_violated():
    wrong = planner_claims.arithmetic(
        "a search is 6 FLOP a token", lambda c: planner_claims.amp(c, 2), 1.5e35, "nowhere"
    )
    assert verify(wrong, WORLD.arms()).outcome == "violated"


@pytest.mark.parametrize(
    "fields",
    [
        {"density": 0.0},
        {"density": 1.5},
        {"toys": 50},
        {"toys": 24},
        {"blocks": 1},
        {"features": -8},
        {"steps": 0},
        {"sizes": 3},
        {"entries": 99},
        {"entry": "nothing"},
        {"lr": 0.0},
        {"batch": -1},
        {"width": 0},
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(fields):
    with pytest.raises(SpecError) as e:
        Planner(**fields)
    assert "\n" not in str(e.value) and "Planner." in str(e.value)


def test_a_run_alone_is_the_run_among_others_over_fifty_steps():
    specs = planner.worlds(0, 3, toys=48, steps=50)
    together, alone = train(Runs(specs), Unkept()), train(Runs(specs[-1:]), Unkept())
    for name, tensor in alone.tensors.items():
        np.testing.assert_allclose(tensor[0], together.tensors[name][-1], rtol=1e-5, atol=1e-6)
    mine, theirs = (
        measure(Runs(specs[-1:]), alone, Unkept()),
        measure(Runs(specs), together, Unkept()),
    )
    np.testing.assert_allclose(mine.seeds_planned[0], theirs.seeds_planned[-1], rtol=1e-4)


def test_how_far_off_by_hand_and_no_constant_gets_nearer():
    arms = WORLD.arms()
    middle = np.sqrt(arms["timed"].cpu_low * arms["timed"].cpu_high)
    arm = arms["timed"].assign(
        cpu=middle * [4.0, 0.25]
    )  # on average as planned, and off by 4 each time
    np.testing.assert_allclose(planner_claims.off("cpu")(arm, arms), 4.0)
    np.testing.assert_allclose(planner_claims.over_planned({"timed": arm}), 1.0)
    best = planner_claims.off("cpu")(arms["constant"], arms).values
    assert np.log(best).mean() == pytest.approx(np.log(8) / 2, rel=0.05), (
        "half of what lies between the sizes"
    )
    low, high = (arms["constant"][f"cpu_{end}"].values for end in ("low", "high"))
    assert (
        (low == high).all()
        and np.ptp(low) == 0
        and low[0, 0] == pytest.approx(4 * 8**0.5, rel=0.05)
    )


@pytest.mark.parametrize("given", ["entry=llc", "entry=nothing"])
def test_only_an_arm_says_which_experiment_is_timed(given, capsys, tmp_path):
    code = main(
        [
            "run",
            "compute-planner",
            "--preset",
            "smoke",
            "--set",
            given,
            "--root",
            str(tmp_path / "s"),
            "--executor",
            "inline",
        ]
    )
    err = capsys.readouterr().err
    assert code == 2 and "Planner.entry is " in err and err.strip().count("\n") == 0, err
    assert not list((tmp_path / "s").glob("runs/*"))


def test_planned_widths_are_those_of_independent_pilots():
    rng = np.random.default_rng(5)
    told = planner_method.planned_half_widths(rng.normal(size=(96, 1)) + np.zeros((1, 24)))
    assert len(told["seeds_planned"]) == 16 and told["crossed_planned"] == pytest.approx(
        told["crossed_naive"]
    ), "blocks add nothing"
    first, other = 2.0639 / 24**0.5, np.unique(np.round(told["seeds_actual"], 9))
    assert len(other) == 4 and 0.6 < np.mean(other) / first < 1.4, (
        "Student's t with 23 degrees of freedom, of a standard normal"
    )


def test_commands_are_planned_and_run_in_a_store_of_their_own(monkeypatch):
    heard = []

    def pretend(*words, root):
        heard.append((words, root))
        told = (
            {"command_seconds": [2.0, 8.0], "command_cpu_seconds": None}
            if words[0] == "plan"
            else {}
        )
        return commands.Ran(told, 4.0, 3.0, 1.5)

    monkeypatch.setattr(commands, "ran", pretend)
    specs = planner.timings(experiment.smoke)
    found = measure(Runs(specs), train(Runs(specs), Unkept()), Unkept())
    assert [w[0] for w, _ in heard] == ["plan", "run"] and heard[0][1] == heard[1][1]
    assert found.seconds.values.tolist()[0][0] == 4.0 and found.crowded.values.tolist()[0][0] == 1.5
    assert np.isnan(found.cpu_low.values).all(), "an unknown time stays unknown"
    assert set(found.entry.values) <= set(TIMED)


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(RunError, match="ended with 2: no experiment is called 'nothing'"):
        commands.ran("plan", "nothing", root=str(tmp_path))


def test_a_command_that_ends_well_says_what_it_wrote_and_took(tmp_path):
    told = commands.ran("list", root=str(tmp_path))
    assert json.dumps(told.told) and told.cpu_seconds > 0 and told.seconds > 0 and told.load >= 0.99
