"""Every claim of interpretable-capability can hold, can fail, and can be made unspecific by its
controls; planted measures, nothing trained."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import xarray as xr
from named_claims import claim_of
from planted_arms import planted_arms

from assay.core.bench import Unkept
from assay.core.claims import Exact
from assay.core.errors import SpecError
from assay.core.estimates import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.interpretable_capability import SHORT, experiment
from assay_catalogue.experiments.interpretable_capability.claims import (
    by_circuits,
    by_rules,
    capability,
    rise,
    valley,
)
from assay_catalogue.experiments.interpretable_capability.method import (
    LADDERS,
    RUNGS,
    InterpretableCapability,
    exchange,
    explained,
    measure,
    positions,
    split,
    train,
)
from assay_catalogue.worlds.networks.readable import DENSE, VOCAB

UNIGRAM = 4.4
WIDTHS = InterpretableCapability().widths
GROWS = [0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4]
FLAT = [0.5] * RUNGS


def needed(known):
    """The share of a planted decoder's nodes that nine tenths of what it does take: two for each
    token that is known plainly, and all of them for what is known densely."""
    return 1.0 if known.dense else 1.8 * known.plain / (2 * VOCAB + 1 + known.neurons)


def ladder(name):
    """What a planted ladder is known to give."""
    return {
        "C": [k.capability() for k in LADDERS[name]],
        "needed": [needed(k) for k in LADDERS[name]],
        "J": [k.by_rules(10) for k in LADDERS[name]],
    }


MAIN = {
    "C": GROWS,
    "needed": [0.15, 0.2, 0.25, 0.3, 0.3, 0.3, 0.3, 0.3],
    "lot": [0.5] * RUNGS,
    "again": [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.78, 0.8],
    "J": [0.8] * RUNGS,
    "other": [0.02] * RUNGS,
}
FALLS = {
    "needed": [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9],
    "J": [0.6, 0.5, 0.45, 0.4, 0.35, 0.3, 0.28, 0.25],
}
"""Shares with which a growing capability is not understood any further."""
LEVELS = {
    "main": MAIN,
    "half": MAIN,
    "outputs-only": {**MAIN, **FALLS},
    "exchanged": {**MAIN, **FALLS, "C": [0.1] * RUNGS},
    "planted-valley": {**MAIN, **ladder("valley")},
    "planted-rise": {**MAIN, **ladder("rise")},
}
"""Capability, which share of nodes circuits and lots need, what rules explain, for each arm that is
trained or written."""


@dataclass(frozen=True)
class World:
    """What differs from those numbers, {arm: {what: its eight levels}}."""

    changes: dict = field(default_factory=dict)

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        n, rng = len(runs), np.random.default_rng(stream)
        changed = self.changes.get(arm, self.changes.get("main", {}) if arm == "half" else {})
        known = {**LEVELS[arm], **changed}
        table = {what: x + rng.normal(0, 0.01, (n, RUNGS)) for what, x in known.items()}
        named = {
            "loss": UNIGRAM - table["C"],
            "needed": table["needed"],
            "needed_half": table["needed"] / 2,
            "needed_lot": table["lot"],
            "needed_again": table["again"],
            "detected": table["J"],
            "detected_shuffled": table["other"],
            "nodes": np.full((n, RUNGS), 300.0),
        }
        data = {name: ("run width", x, "1") for name, x in named.items()}
        unigram = "run", np.full(n, UNIGRAM), "1"
        return measures(runs, coords={"width": list(WIDTHS)}, unigram=unigram, **data)


WORLD = World()


def but(arm: str = "main", **levels: list) -> World:
    """The world with other levels of one arm."""
    return World({arm: levels})


DIP = [0.1, 0.2, 0.5, 0.75, 0.8, 0.7, 0.3, 0.2]
"""Needed shares that make a valley, and below what rules explain in one."""
SPARED = [1 - x for x in DIP]
VALLEY = [1.4, 1.3, 1.0, 0.9, 0.9, 1.0, 1.3, 1.4]
"""Capability that has a valley itself."""
CASES = {
    "By circuits that keep nine tenths of what a model does, interpretable capability has": (
        but(needed=DIP),
        WORLD,
        {
            "lot": but(needed=DIP, again=DIP),
            "as-exchanged": World({"main": {"needed": DIP}, "exchanged": {"needed": DIP}}),
            "capability": but(C=VALLEY, needed=FLAT),
            "planted-rise": World({"main": {"needed": DIP}, "planted-rise": {"needed": DIP}}),
        },
    ),
    "By circuits that keep nine tenths of what a model does, interpretable capability rises": (
        but(**FALLS),
        {
            "lot": but(again=MAIN["needed"]),
            "as-exchanged": but("exchanged", needed=MAIN["needed"]),
        },
    ),
    "By rules for neurons, interpretable capability has": (
        but(J=SPARED),
        WORLD,
        {
            "shuffled": but(J=SPARED, other=SPARED),
            "as-exchanged": World({"main": {"J": SPARED}, "exchanged": {"J": SPARED}}),
            "capability": but(C=VALLEY, J=FLAT),
            "planted-rise": World({"main": {"J": SPARED}, "planted-rise": {"J": SPARED}}),
        },
    ),
    "By rules for neurons, interpretable capability rises": (
        but(**FALLS),
        {"shuffled": but(other=FLAT), "as-exchanged": but("exchanged", J=FLAT)},
    ),
    "It matters which nodes": (but(lot=MAIN["needed"]), {"lot": but(again=[0.3] * RUNGS)}),
    "Learning makes an MLP": (
        but(J=FALLS["J"]),
        {"outputs-only": but("outputs-only", J=MAIN["J"]), "shuffled": but(other=MAIN["J"])},
    ),
}


@pytest.mark.parametrize("start", [start for start in CASES if start.startswith("By ")])
def test_what_training_still_brings_about_is_undecided(start):
    half = {
        "C": [1.0, 2.0, 3.0, 3.0, 1.5, 1.2, 0.3, 0.1],
        "needed": [0.0] * RUNGS,
        "J": [1.0] * RUNGS,
    }
    world = World({"main": FALLS, "half": half})
    verdict = judge(claim_of(experiment, start), world.arms()).verdict
    assert verdict.outcome == "undecided" and verdict.reason == "gate converged"


def test_what_is_exact():
    assert [verify(e, WORLD.arms()).outcome for e in experiment.claims if isinstance(e, Exact)] == [
        "exact"
    ] * 2


def test_interpretable_capability_is_capability_times_what_is_understood():
    table = {"loss": [1.0, 4.7, 2.0], "needed": [0.5, 0.2, 1.0], "detected": [0.7, 0.9, -0.1]}
    arm = xr.Dataset({name: (("run", "width"), [x]) for name, x in table.items()})
    arm = arm.assign(unigram=("run", [4.0]))
    np.testing.assert_allclose(capability(arm), [[3.0, 0.0, 2.0]])
    np.testing.assert_allclose(by_circuits(arm), [[1.5, 0.0, 0.0]])
    np.testing.assert_allclose(by_rules(arm), [[2.1, 0.0, 0.0]])


@pytest.mark.parametrize("coefficients", [(1, 0, 2), (1, -0.5, 1), (1, 1, 0), (1, 0.4, -1)])
def test_a_valley_is_as_deep_as_the_lower_end_of_a_parabola_lies_above_its_bottom(coefficients):
    a, b, c = coefficients
    t = np.linspace(-1, 1, RUNGS)
    inside = np.linspace(-0.75, 0.75, 100_001)
    lowest = (a + b * inside + c * inside**2).min()
    depth = min(a - b + c, a + b + c) - lowest
    y = (a + b * t + c * t**2)[None]
    np.testing.assert_allclose(valley({"tic": y}), [depth], atol=1e-3)


def test_a_rise_is_the_mean_of_the_larger_sizes_less_that_of_the_smaller():
    assert rise({"tic": np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0, 9.0]])}) == [6.0 - 2.5]


@pytest.mark.parametrize(
    ("worlds", "seeds"),
    [
        (list(LADDERS)[:1], (0,)),
        pytest.param(list(LADDERS), (0, 1), marks=pytest.mark.thorough),
    ],
    ids=["one", "all"],
)
def test_the_planted_ladders_are_read_as_what_they_are(worlds, seeds):
    """Both definitions find what was planted: capability, the share of nodes that nine tenths of
    what it does take, and the share of firings that ten names can tell."""
    for world in worlds:
        runs = Runs([InterpretableCapability(seed=seed, world=world, **SHORT) for seed in seeds])
        found = measure(runs, train(runs, Unkept()), Unkept()).mean("run")
        for i, known in enumerate(LADDERS[world]):
            here = found.isel(width=i)
            assert abs(float(here.unigram - here.loss) - known.capability()) < 0.1
            # A round of pruning takes a quarter by costs of that moment, and may part two nodes
            # that serve together: never too few are read, and at most a third too many.
            assert needed(known) - 0.02 < float(here.needed) < needed(known) * 4 / 3 + 0.02
            assert abs(float(here.detected) - known.by_rules(10)) < (0.1 if known.dense else 0.02)
            assert here.nodes == 2 * VOCAB + 1 + known.plain + (DENSE if known.dense else 0)
            assert here.needed_lot > here.needed + 0.3 or known.dense


def test_a_rule_of_ten_names_tells_ten_of_thirty_two_tokens():
    """Neurons of the dense part fire on half of the tokens: a rule of ten names tells 10 of 32, one
    token is told whole, noise not at all."""
    rng = np.random.default_rng(0)
    tokens, unseen = rng.integers(0, 64, (64, 64)), rng.integers(0, 64, (64, 64))
    text, test = split(tokens), positions(unseen)

    def values(t):
        return np.stack([t.ravel() < 32, t.ravel() == 5, rng.random(t.size) < 0.3], 1).astype(
            np.float32
        )

    told, others = explained(text, values(tokens), test, values(unseen))
    np.testing.assert_allclose(told, [10 / 32, 1.0, 0.0], atol=0.05)
    # by the rule of the one before: noise has none; token 5 is among the ten names or not, which
    # are drawn from 32; token 5 is nothing to noise
    np.testing.assert_allclose(others[[0, 2]], 0.0, atol=0.05)
    assert abs(others[1] - (1 - 10 / 64)) < 0.05 or abs(others[1] + 10 / 64) < 0.05


def test_exchanged_weights_are_the_same_numbers_elsewhere():
    runs = Runs([InterpretableCapability(seed=seed, world="rise", context=8) for seed in (0, 1)])
    before = train(runs, Unkept())
    after, alone = (
        exchange(r, Unkept(), b)
        for r, b in ((runs, before), (Runs(runs.specs[1:]), train(Runs(runs.specs[1:]), Unkept())))
    )
    for name, p in before.tensors.items():
        torch.testing.assert_close(
            after.tensors[name].flatten(1).sort(1).values, p.flatten(1).sort(1).values
        )
        assert torch.equal(after.tensors[name][1:], alone.tensors[name])
        assert torch.equal(after.tensors[name], p) != (name.split(".")[1] in ("W_in", "W_out"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"widths": (1, 4)}, "widths"),
        ({"vocab": 100}, "InterpretableCapability.vocab must be at least 257, got 100"),
        (
            {"world": "hill"},
            "InterpretableCapability.world must be one of '', 'valley', 'rise', got 'hill'",
        ),
        ({"neurons": 1}, "neurons"),
    ],
)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError) as e:
        InterpretableCapability(**wrong)
    assert said in str(e.value) and "\n" not in str(e.value)
