"""Every claim of interpretable-capability can hold, can fail, and can be made unspecific by its
controls; planted measures, nothing trained."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import xarray as xr

from assay.core.bench import Unkept
from assay.core.claims import Claim, Exact
from assay.core.errors import SpecError
from assay.core.estimates import verify
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.interpretable_capability import experiment
from assay.experiments.interpretable_capability.claims import (
    all_sizes,
    by_circuits,
    by_rules,
    capability,
    definition_gap,
    line_terms,
    needed,
    over_ladder,
    valley,
)
from assay.experiments.interpretable_capability.method import (
    ALL,
    BUDGETS,
    KINDS,
    LADDERS,
    InterpretableCapability,
    exchange,
    explained,
    measure,
    positions,
    split,
    train,
)
from named_claims import claim_of

UNIGRAM = 4.4
MAIN = {
    "C": [0.5, 0.9, 1.1, 1.3, 1.5],
    "single": [0.45, 0.8, 0.5, 0.7, 0.6],
    "double": [0.5, 0.7, 0.9, 1.2, 1.4],
    "J": [0.9, 0.9, 0.5, 0.6, 0.45],
    "lot": [0.4, 0.5, 0.2, 0.1, 0.0],
    "again": [0.4, 0.5, 0.2, 0.1, 0.0],
    "mixes": [0.4] * 5,
    "apart": [0.0] * 5,
    "other": [0.0] * 5,
}
FLAT = [0.4] * 5
LEVELS = {
    "main": MAIN,
    "half": MAIN,
    "outputs-only": {**MAIN, "single": [0.45, 0.5, 0.5, 0.5, 0.5], "J": FLAT},
    "exchanged": {**MAIN, "C": [-0.5] * 5, "single": [-1.0] * 5, "J": FLAT},
    "planted-valley": {
        **MAIN,
        "C": [k.capability() for k in LADDERS["valley"]],
        "single": [k.by_circuit(32) for k in LADDERS["valley"]],
        "J": [k.by_rules(10) for k in LADDERS["valley"]],
    },
    "planted-rise": {
        **MAIN,
        "C": [k.capability() for k in LADDERS["rise"]],
        "J": [1.0] * 5,
        **{name: [k.capability() for k in LADDERS["rise"]] for name in ("single", "double")},
    },
}
"""Capability, what circuits of 32 and 64 nodes keep, what rules explain, for each arm that is
trained or written."""


@dataclass(frozen=True)
class World:
    """What differs from those numbers, {arm: {what: its five levels}}."""

    changes: dict = field(default_factory=dict)

    def arms(self) -> dict:
        found = {}
        for i, (name, arm) in enumerate(experiment.arms.items()):
            found[name] = arm.derive(found) if arm.derive else self.measures(name, i)
        return found

    def measures(self, arm: str, stream: int):
        runs, rng = (
            Runs(experiment.specs_of(arm, experiment.default)),
            np.random.default_rng(stream),
        )
        n, known = (
            len(runs),
            {
                **LEVELS[arm],
                **self.changes.get(arm, self.changes.get("main", {}) if arm == "half" else {}),
            },
        )

        def around(what, shape=(), spread=0.01):
            level = np.array(known[what]).reshape(-1, *[1] * len(shape))
            return level + rng.normal(0, spread, (n, 5, *shape))

        kept = {32: around("single"), 64: around("double")}
        named = {
            "loss": UNIGRAM - around("C"),
            "circuit": UNIGRAM - np.stack([kept.get(b, kept[32]) for b in BUDGETS], -1),
            "circuit_lot": UNIGRAM - around("lot"),
            "circuit_again": UNIGRAM - around("again"),
            "nodes": np.full((n, 5), 300.0),
            "detected": around("J", (16,), 0.05),
            "detected_shuffled": around("other", (16,), 0.05),
            "detected_direction": around("mixes", (16,), 0.05)
            + around("apart", (1,), 0.0) / 2 * (-1.0) ** np.arange(16),
            "kept": np.full((n, 5, 3), 10.0),
        }
        last = {
            "circuit": " budget",
            "kept": " kind",
            **dict.fromkeys(("detected", "detected_shuffled", "detected_direction"), " neuron"),
        }
        data = {name: (f"run rung{last.get(name, '')}", x, "1") for name, x in named.items()}
        coords = {
            "rung": list(range(5)),
            "budget": list(BUDGETS),
            "kind": list(KINDS),
            "neuron": list(range(16)),
        }
        return measures(runs, coords=coords, unigram=("run", np.full(n, UNIGRAM), "1"), **data)


WORLD = World()
RISING = [0.45, 0.5, 0.6, 0.7, 0.8]
"""Levels without a valley."""


def but(arm: str = "main", **levels: list) -> World:
    """The world with other levels of one arm."""
    return World({arm: levels})


def dipped(**levels: list) -> dict:
    """A world in which the planted ladder that rises does not, and one in which capability itself
    has a valley and falls."""
    return {
        "capability": but(C=[0.5, 1.9, 0.7, 1.7, 1.5]),
        "planted-rise": but("planted-rise", **levels),
    }


SLOW = [0.5, 0.9, 1.1, 1.3, 1.38]
"""Capability that grows by hardly more than the margin at last, which is found."""
HIDDEN = [0.4, 0.22, 0.18, 0.15, 0.13]
"""Shares of which a growing capability is explained no further."""
EVERYWHERE = [0.4, 0.72, 0.88, 1.04, 1.2]
"""Give the same share of a growing capability."""
CASES = {
    "By circuits of 32 nodes, interpretable capability has a valley": (
        but(single=RISING),
        dipped(single=[0.2, 0.37, 0.2, 0.37, 0.3]),
    ),
    "By circuits of 32 nodes, it stops increasing": (
        but(C=SLOW),
        but(single=RISING),
        dipped(single=[0.2, 0.37, 0.2, 0.37, 0.1]),
    ),
    "By rules for neurons, interpretable capability has a valley": (
        but(J=[0.9, 0.8, 0.75, 0.72, 0.7]),
        dipped(J=[1.0, 1.0, 0.3, 1.0, 1.0]),
    ),
    "By rules for neurons, it stops increasing": (
        World({"main": {"C": SLOW, "mixes": HIDDEN}, "outputs-only": {"J": HIDDEN}}),
        but(J=[0.9, 0.8, 0.75, 0.72, 0.7]),
        dipped(J=[1.0, 1.0, 1.0, 1.0, 0.3]),
    ),
    "The share of capability": (
        World(
            {
                "main": {"lot": EVERYWHERE, "again": EVERYWHERE},
                "outputs-only": {"single": EVERYWHERE},
            }
        ),
        but(single=MAIN["C"]),
        {"planted-rise": but("planted-rise", single=[0.2, 0.3, 0.3, 0.3, 0.3])},
    ),
    "The share of neurons' firings": (
        but(J=[0.6] * 5),
        {
            "planted-rise": but("planted-rise", J=MAIN["J"]),
            "exchanged": but("exchanged", J=[0.5, 0.4, 0.3, 0.3, 0.2]),
        },
    ),
    "Learning makes an MLP": (
        but(J=[0.41] * 5),
        {
            "outputs-only": but("outputs-only", J=[0.6] * 5),
            "shuffled": but(other=[0.6] * 5),
            "exchanged-directions": but("exchanged", mixes=[0.6] * 5),
        },
    ),
    "Neurons are easier": (
        but(mixes=MAIN["J"]),
        {"exchanged": but("exchanged", mixes=[0.2] * 5), "mixes-apart": but(apart=[0.2] * 5)},
    ),
    "It matters which nodes": (but(lot=[0.5] * 5), {"lot-again": but(again=[0.45] * 5)}),
    "Both definitions": (
        but("outputs-only", single=MAIN["single"]),
        but(J=[0.4, 0.2, 0.9, 0.2, 0.9]),
        {"all-explained": but(single=[0.45, 0.81, 0.94, 1.1, 1.28], J=[0.9, 0.9, 0.7, 0.7, 0.7])},
    ),
    "Where interpretable capability": (
        but(double=MAIN["single"]),
        {
            "planted-rise": but(
                "planted-rise", double=LEVELS["planted-rise"]["C"], single=[0.2, 0.3, 0.2, 0.1, 0.1]
            )
        },
    ),
}
CLAIMS = [c for c in experiment.claims if isinstance(c, Claim)]


@pytest.mark.parametrize("start", [start for start in CASES if start.startswith("By ")])
def test_a_valley_or_a_fall_that_goes_away_with_training_is_undecided(start):
    half = {
        "C": [0.5, 3.0, 3.0, 3.0, 3.0],
        "single": [0.5, 2.5, 0.1, 2.5, 0.1],
        "J": [0.9, 0.9, 0.1, 0.9, 0.1],
    }
    verdict = judge(claim_of(experiment, start), World({"half": half}).arms()).verdict
    assert verdict.outcome == "undecided" and verdict.reason == "gate converged"


def test_half_length_circuits_stand_beside_lots_of_their_own_model():
    """Shorter training keeps less of both, by the same amount: nothing changed in what it matters
    which nodes are kept."""
    half = {
        "single": [x - 0.2 for x in MAIN["single"]],
        "lot": [max(x - 0.2, 0.0) for x in MAIN["lot"]],
    }
    assert (
        judge(
            claim_of(experiment, "It matters which nodes"), World({"half": half}).arms()
        ).verdict.outcome
        == "holds"
    )


def test_the_line_over_sizes_goes_through_all_neurons_that_are_explained():
    arms = WORLD.arms()
    arm = arms["main"].isel(run=slice(3)).copy(deep=True)
    arm["detected"] = arm.detected.where(
        (arm.rung > 0) | (arm.neuron < 5)
    )  # the smallest model has few
    terms = line_terms(arm, arms)
    for i in range(3):
        seen = np.argwhere(np.isfinite(arm.detected.values[i]))
        slow = np.polyfit(seen[:, 0], arm.detected.values[i][tuple(seen.T)], 1)[0] * 4
        np.testing.assert_allclose(
            over_ladder({name: t.values[i : i + 1] for name, t in terms.items()}), slow
        )
    np.testing.assert_allclose(all_sizes(arm).values, [np.nanmean(x) for x in arm.detected.values])


def test_what_is_exact():
    assert [verify(e, WORLD.arms()).outcome for e in experiment.claims if isinstance(e, Exact)] == [
        "exact"
    ] * 2


def by_hand(**values):
    """Measures of one run with so many rungs, written by hand."""
    dims = {"circuit": ("run", "rung", "budget"), "detected": ("run", "rung", "neuron")}
    made = {
        name: (dims.get(name, ("run", "rung")), np.array(x)[None])
        for name, x in values.items()
        if name != "unigram"
    }
    return xr.Dataset({**made, "unigram": ("run", [values["unigram"]])}, {"budget": list(BUDGETS)})


def test_interpretable_capability_is_capability_times_what_is_understood():
    circuit = [
        [4.0, 3.0, 2.0, 1.0, 0.5, 0.5],
        [5.0, 5.0, 5.0, 5.0, 5.0, 5.0],
        [3.0, 2.0, 1.5, 2.5, 2.5, 2.5],
    ]
    arm = by_hand(
        unigram=4.0,
        loss=[1.0, 3.7, 2.0],
        circuit=circuit,
        detected=[[0.8, 0.6], [-0.4, 0.0], [0.5, 0.5]],
        nodes=[300, 300, 300],
    )
    np.testing.assert_allclose(capability(arm).values, [[3.0, 0.3, 2.0]])
    np.testing.assert_allclose(
        by_circuits(arm).values, [[2.0, 0.0, 2.0]]
    )  # never below 0, never more than the whole model can
    np.testing.assert_allclose(by_circuits(arm, 8).values, [[0.0, 0.0, 1.0]])
    np.testing.assert_allclose(by_rules(arm).values, [[2.1, 0.0, 1.0]])
    # saved: 0 at 8 nodes, 1 at 16: 0.4 on the line between; never; 1 at 8 already
    np.testing.assert_allclose(needed(arm).values, [[8 * 2**0.4, np.nan, 8.0]])
    shares = {"circuits": np.array([[1.0, 0.5, 0.0]]), "rules": np.array([[0.7, 0.6, 0.5]])}
    np.testing.assert_allclose(definition_gap(shares), [0.3])


@pytest.mark.parametrize(
    ("levels", "depth"),
    [
        ([1, 2, 3, 4], -1.0),
        ([4, 3, 2, 1], -1.0),
        ([1, 5, 2, 3], 1.0),
        ([5, 1, 2, 4], 3.0),
        ([2, 2, 2], 0.0),
        ([3, 2, 1, 1.5, 0], 0.5),
    ],
)
def test_a_valley_is_as_deep_as_the_lower_of_its_sides(levels, depth):
    x = np.array([levels], float)
    slow = max(
        min(max(levels[:j]), max(levels[j + 1 :])) - levels[j] for j in range(1, len(levels) - 1)
    )
    assert valley({"tic": x}) == [depth] == [slow]


@pytest.mark.parametrize(
    ("worlds", "seeds"),
    [
        (list(LADDERS)[:1], (0,)),
        pytest.param(list(LADDERS), (0, 1), marks=pytest.mark.thorough),
    ],
    ids=["one", "all"],
)
def test_the_planted_ladders_are_read_as_what_they_are(worlds, seeds):
    """Both definitions find what was planted: capability, what 32 nodes can keep, and the share of
    firings that ten names can tell."""
    for world in worlds:
        ladder = LADDERS[world]
        runs = Runs(
            [
                InterpretableCapability(
                    seed=seed, world=world, context=32, explained_on=96, held_out=96, neurons=ALL
                )
                for seed in seeds
            ]
        )
        found = measure(runs, train(runs, Unkept()), Unkept()).mean("run")
        for i, known in enumerate(ladder):
            assert abs(float((found.unigram - found.loss)[i]) - known.capability()) < 0.1
            assert (
                abs(
                    float((found.unigram - found.circuit.sel(budget=32))[i].clip(0))
                    - known.by_circuit(32)
                )
                < 0.12
            )
            assert abs(float(found.detected[i].mean()) - known.by_rules(10)) < (
                0.02 if not known.dense else 0.05
            )
            assert int(found.detected[i].notnull().sum()) == known.neurons


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
