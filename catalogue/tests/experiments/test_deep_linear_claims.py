"""Planted worlds for deep-linear: measures in which its claims hold, fail, and are made vacuous by
their controls.

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
from assay.lab.plan.preset import apply_preset, override
from assay_catalogue.experiments.deep_linear import experiment
from assay_catalogue.experiments.deep_linear.method import (
    DeepLinear,
    layers,
    measure,
    modes_and_map,
    train,
)

STEPWISE = np.array([0.75, 0.95, 1.32, 2.3])
"""Half times of strengths 4, 3, 2 and 1, one after another."""
AT_ONCE = np.full(4, 0.69)


@dataclass(frozen=True)
class World:
    """Per arm: half times, rise over half time, and half times over theory's."""

    half: dict = field(
        default_factory=lambda: {
            "shallow": AT_ONCE,
            "lopsided": 0.1 * AT_ONCE,
            "aligned-lopsided": AT_ONCE,
        }
    )
    rise: dict = field(
        default_factory=lambda: {"shallow": 3.17, "lopsided": 3.4, "aligned-lopsided": 3.1}
    )
    theory: dict = field(default_factory=lambda: {"shallow": 0.4, "lopsided": 1.03})
    draws: dict = field(default_factory=lambda: {"main": 0.2, "turned": 0.2, "lopsided": 0.4})
    """By how much half times differ between seeds, in logarithms; 0.005 where an arm is not
    named."""
    trend: float = 0.0
    """By how much main's half times fall, in logarithms, from seed to seed."""
    off: float = 0.001
    other: float = 0.0
    """By how much the map at the start differs from main's."""
    slow: bool = False
    """Whether a mode never comes up."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        rng, n = np.random.default_rng(stream), len(runs)
        later = runs.seeds - runs.seeds.min()
        draw = rng.normal(0, self.draws.get(arm, 0.005), n) - self.trend * later * (arm == "main")
        half = self.half.get(arm, STEPWISE) * np.exp(draw[:, None] + rng.normal(0, 0.005, (n, 4)))
        width = self.rise.get(arm, 0.9) * half * np.exp(rng.normal(0, 0.01, (n, 1)))
        held = np.array([0.0, 2.0, 4.0])[None, :, None] * np.ones((n, 1, 1))
        theory = half / (1 + (self.theory.get(arm, 1.01) - 1) * np.exp(rng.normal(0, 0.1, (n, 1))))
        t90 = half + 0.6 * width
        return measures(
            runs,
            coords={"strength": (4.0, 3.0, 2.0, 1.0), "time": [0.0, 1.0, 2.0]},
            t10=("run strength", half - 0.4 * width, "τ"),
            t50=("run strength", half, "τ"),
            t90=("run strength", np.where(self.slow & (np.arange(4) == 3), np.nan, t90), "τ"),
            predicted=("run strength", theory, "τ"),
            balanced=("run strength", half, "τ"),
            imbalance=("run strength", np.ones((n, 4)), "1"),
            held=("run time strength", held * np.ones(4), "1"),
            off=("run", np.full(n, self.off), "share"),
            first=("run row column", np.full((n, 2, 2), self.other * (arm != "main")), "1"),
        )


WORLD = World()


def but(of: str, **changes) -> World:
    """The world with other numbers for some arms."""
    return replace(WORLD, **{of: getattr(WORLD, of) | changes})


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Two layers learn one mode after another": (
        but("half", main=AT_ONCE),
        {"lopsided": but("half", lopsided=STEPWISE), "shallow": but("half", shallow=STEPWISE)},
    ),
    "Each mode comes in a step": (
        but("rise", main=3.0),
        {"lopsided": but("rise", lopsided=0.9), "shallow": but("rise", shallow=0.9)},
    ),
    "The closed form knows the draw": (
        but("theory", main=1.5),
        {"redrawn": replace(WORLD, trend=1.5)},
    ),
    "With the imbalance in it": (
        but("theory", lopsided=1.4),
        {
            "lopsided-redrawn": but("draws", lopsided=0.02),
            "lopsided-as-main": replace(
                but("half", lopsided=STEPWISE), draws={"main": 0.02, "lopsided": 0.02}
            ),
        },
    ),
}
EXACT = [e for e in experiment.claims if isinstance(e, Exact)]


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("Two layers learn one mode after another", "gate learned"),
        ("Each mode comes in a step", "too few units"),
    ],
)
def test_a_mode_that_never_comes_up_decides_nothing(start, reason):
    verdict = judge(claim_of(experiment, start), replace(WORLD, slow=True).arms()).verdict
    assert verdict.outcome == "undecided" and verdict.reason.startswith(reason)


@pytest.mark.parametrize(
    ("start", "broken"),
    [
        ("Balanced layers along the modes", replace(WORLD, off=0.1)),
        ("All start as the same map", replace(WORLD, other=1e-6)),
    ],
)
def test_what_is_exact_is_checked(start, broken):
    [statement] = [e for e in EXACT if e.text.startswith(start)]
    assert verify(statement, WORLD.arms()).outcome == "exact"
    assert verify(statement, broken.arms()).outcome == "violated"


def test_two_splits_of_one_map_differ_as_the_equations_of_motion_say():
    [statement] = [e for e in EXACT if e.text.startswith("Along the modes")]
    specs = [s for s in experiment.smoke if s.start == 0.01]
    splits = {"aligned": 1.0, "aligned-lopsided": 20.0}
    arms = {}
    for name, split in splits.items():
        runs = Runs([s.replace(aligned=True, split=split, lr=0.0025, steps=3200) for s in specs])
        arms[name] = measure(runs, train(runs, Unkept()), Unkept())
    found = verify(statement, arms)
    assert found.outcome == "exact" and found.deviation > 0
    arms["aligned-lopsided"]["held"] *= 0.9
    assert verify(statement, arms).outcome == "violated"


def test_arithmetic_comes_out():
    for start in ("Strength 3 from 0.01", "A large imbalance"):
        [statement] = [e for e in EXACT if e.text.startswith(start)]
        assert verify(statement, {}).outcome == "exact"


# --- bad input, and the whole way on a small one --------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": 3}, "no 3 × 3 map has rank 4"),
        ({"hidden": 2}, "hidden must be at least the rank 4, got 2"),
        ({"start": 1.0}, "below every strength, the least of which is 1, got 1"),
        ({"start": 0.0}, "lies above 0 and below every strength"),
        ({"lr": 0.25}, "below 0.25, where gradient descent becomes unstable, got 0.25"),
        ({"lr": 2.0, "layers": 1}, "below 2, where gradient descent becomes unstable, got 2"),
        ({"lr": 0.15, "split": 40.0}, "where gradient descent becomes unstable"),
        ({"strengths": (1.0, 2.0)}, "strengths descend, each once, and are above 0"),
        ({"split": 0.0}, "split must be positive, got 0"),
        ({"layers": 9}, "layers must be from 1 to 8, got 9"),
        ({"layers": 3, "lr": 0.105}, r"below 0\.105, where gradient descent becomes unstable"),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError, match=said) as e:
        DeepLinear(**wrong)
    assert "\n" not in str(e.value)


def test_what_arms_set_cannot_be_set():
    with pytest.raises(SpecError, match="layers must be at least 2, as the arm shallow has one"):
        experiment.specs_of("main", tuple(s.replace(layers=1) for s in experiment.smoke))
    with pytest.raises(SpecError, match="turned is for arms to set"):
        experiment.specs_of("main", tuple(s.replace(turned=True) for s in experiment.smoke))


def test_a_start_at_which_no_arm_is_compared_is_refused_before_anything_is_trained():
    with pytest.raises(
        SpecError,
        match=r"must be 0\.01 in some runs, where arms are compared: start=0\.01,0\.02 and not",
    ):
        override(experiment, "smoke", ["start=0.02"])
    kept = override(experiment, "smoke", ["start=0.01,0.02"]).specs
    assert {s.start for s in experiment.specs_of("lopsided", kept)} == {0.01} and len(
        experiment.specs_of("main", kept)
    ) == 4


@pytest.mark.parametrize(
    "changes",
    [{}, {"layers": 1}, {"layers": 3}, {"turned": True}, {"aligned": True, "split": 5.0}],
)
def test_a_run_alone_measures_as_among_others(changes):
    specs = [s.replace(**changes) for s in experiment.smoke]
    many, one = Runs(specs), Runs(specs[3:4])
    theirs, mine = (measure(r, train(r, Unkept()), Unkept()) for r in (many, one))
    for name in ("t50", "held", "predicted", "first"):
        np.testing.assert_allclose(mine[name][0], theirs[name][3], rtol=1e-9)


THREE = [s.replace(layers=3, hidden=20) for s in experiment.smoke if s.start == 0.01]


def test_three_layers_that_start_at_random_learn_as_a_naive_loop_does():
    runs = Runs(THREE[:1])
    start, (left, right, A) = layers(runs), modes_and_map(runs)
    a, m, b = (torch.nn.Parameter(start[name][0].clone()) for name in ("a", "m0", "b"))
    held = []
    for _ in range(runs.shared.steps):
        held.append(torch.diagonal(left[0].T @ (a @ m @ b.T) @ right[0]).tolist())
        loss = 0.5 * ((A[0] - a @ m @ b.T) ** 2).sum()
        for x, slope in zip((a, m, b), torch.autograd.grad(loss, (a, m, b)), strict=True):
            x.data -= runs.shared.lr * slope
    measured = measure(runs, train(runs, Unkept()), Unkept())
    at = np.linspace(0, runs.shared.steps - 1, len(measured.time)).round().astype(int)
    np.testing.assert_allclose(measured.held[0], np.array(held)[at], atol=1e-10)
    half = [
        np.argmax(curve > s / 2)
        for curve, s in zip(np.array(held).T, runs.shared.strengths, strict=True)
    ]
    np.testing.assert_allclose(measured.t50[0] / runs.shared.lr, half, atol=1)
    assert np.isnan(measured.predicted).all()  # theory gives nothing for random starts of three


@pytest.mark.parametrize("split", [1.0, 3.0])
def test_three_layers_along_the_modes_follow_the_equations_of_motion(split):
    runs = Runs([s.replace(aligned=True, split=split, lr=0.001, steps=6_000) for s in THREE[:1]])
    measured = measure(runs, train(runs, Unkept()), Unkept())
    assert float(measured.off.max()) < 0.01
    np.testing.assert_allclose(measured.t50, measured.predicted, rtol=0.01)


def test_one_layer_starts_as_the_product_of_as_many_as_main_has():
    arms = {}
    for name in ("main", "shallow", "turned"):
        runs = Runs(experiment.specs_of(name, tuple(THREE)))
        arms[name] = measure(runs, experiment.arms[name].train(runs, Unkept()), Unkept())
    [same] = [e for e in EXACT if e.text.startswith("All start as the same map")]
    assert verify(same, {**arms, "lopsided": arms["turned"]}).outcome == "exact"
    np.testing.assert_allclose(arms["turned"].held, arms["main"].held, atol=1e-12)
    np.testing.assert_allclose(arms["shallow"].t50, np.log(2), rtol=0.02)  # whatever the start
    assert {s.layers for s in experiment.specs_of("shallow", experiment.smoke)} == {1}


def test_claims_say_how_many_layers_there_are():
    preset = override(experiment, "smoke", ["layers=3"])
    text = apply_preset(experiment, preset).claims[0].text
    assert text.startswith("Three layers learn one mode after another")


def test_another_basis_between_the_layers_changes_nothing():
    specs = [s for s in experiment.smoke if s.start == 0.01]
    plain, turned = (Runs([s.replace(turned=t) for s in specs]) for t in (False, True))
    a, b = (measure(r, train(r, Unkept()), Unkept()) for r in (plain, turned))
    np.testing.assert_allclose(a["held"], b["held"], atol=1e-12)
    assert not np.allclose(
        train(plain, Unkept()).tensors["a"], train(turned, Unkept()).tensors["a"]
    )
