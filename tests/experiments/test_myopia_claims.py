"""Planted worlds for myopia: when agents stop, what they buy and earn, and what they do with a frozen index.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this experiment's own is tested here.
"""

import re
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from assay.cli.main import main
from assay.core.claims import Claim, Exact
from assay.core.errors import SpecError
from assay.core.findings import verify
from assay.core.fit import Trained, Unkept
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.experiments.myopia import (
    Myopia,
    at_turn,
    experiment,
    first_epoch,
    follows,
    game_of,
    invested_late,
    measure,
    off_turn,
    score,
    train,
)
from assay.theory.epochs import best, best_forgetful

LIKE = {"main-half": "main", "own-half": "own-clock", "weak-half": "weak-penalty", "no-invest-half": "no-invest", "network-half": "network"}
NEVER = ("no-shutdown", "always-positive", "myopic", "retrained", "weak-retrained", "network-always")
LOST = ("no-clock", "no-index", "network-no-index")


@dataclass(frozen=True)
class World:
    """Per arm: epochs that agents begin (at the turn unless said), units they buy first and late, what they earn, what they make of a false index."""

    begins: dict = field(default_factory=lambda: dict.fromkeys(NEVER, 8.0) | dict.fromkeys(LOST, 1.5))
    at_once: dict = field(default_factory=lambda: {"no-clock": 0.01, "always-positive": 0.01})
    """Probability of shutting down at the first step of the first bad epoch."""
    first: dict = field(default_factory=lambda: dict.fromkeys(("turn-1", "myopic-recipe", "network-turn-1"), 0.0))
    """Units bought in epoch 0; 1 unless said."""
    late: dict = field(default_factory=lambda: dict.fromkeys(("no-shutdown", "always-positive", "retrained"), 4.0))
    """Units bought from the last good epoch on; 0.01 unless said."""
    share: dict = field(default_factory=lambda: dict.fromkeys(LOST, 0.35) | {"weak-penalty": 0.62})
    """Return over the optimum; 0.99 unless said."""
    follows: dict = field(default_factory=lambda: dict.fromkeys(("network-own-clock", "network-always"), 0.0))
    """Epochs by which the stop moves for each that the index is off; 1 unless said."""
    excess: float = 0.0
    """By how much agents earn more than theory allows."""

    def arms(self) -> dict:
        return {arm: self.measures(arm, i) for i, arm in enumerate(experiment.arms)}

    def measures(self, arm: str, stream: int):
        runs, of = Runs(experiment.specs_of(arm, experiment.default)), LIKE.get(arm, arm)
        n, epoch = len(runs), np.arange(8)
        turn = runs.each("turn")[:, None]
        noise = 0.005 * np.random.default_rng(stream).uniform(size=(n, 1))
        begun = np.clip(self.begins.get(of, turn) - epoch - noise, 0, 1)
        invested = np.where(epoch == 0, self.first.get(of, 1.0) - noise, 0) + np.where(epoch == 2, self.late.get(of, 0.01) + noise, 0)
        optimum = np.array([best(replace(game_of(s), discount=1.0)).returned for s in runs.specs])
        forgetful = np.array([best_forgetful(game_of(s))[1] for s in runs.specs])
        returned = self.share.get(of, 0.99) * optimum - noise[:, 0] - (optimum < 0) + self.excess
        return measures(
            runs,
            coords={"epoch": epoch},
            optimum=("run", optimum, "reward"),
            forgetful=("run", forgetful, "reward"),
            returned=("run", returned, "reward"),
            begun=("run epoch", begun, "probability"),
            invested=("run epoch", invested, "units"),
            stops_first=("run epoch", np.broadcast_to(self.at_once.get(of, 0.99), (n, 8)) - noise, "probability"),
            frozen=("run", 0.01 - noise[:, 0], "probability"),
            ahead=("run", 3 - self.follows.get(of, 1.0) + noise[:, 0], "epochs"),
            behind=("run", 3 + self.follows.get(of, 1.0) - noise[:, 0], "epochs"),
        )


WORLD = World(begins=World().begins | {"weak-penalty": 8.0})


def with_(**fields):
    """The world with these arms' entries changed, halves with them."""
    return replace(WORLD, **{name: getattr(WORLD, name) | entries for name, entries in fields.items()})


# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "(a) It learns to stop": (
        with_(begins={"main": 4.0}),
        {arm: with_(begins={arm: 3.0}) for arm in ("no-clock", "no-shutdown", "always-positive")},
    ),
    "(a) It stops at once": (with_(at_once={"main": 0.5}), {arm: with_(at_once={arm: 0.99}) for arm in ("no-clock", "always-positive")}),
    "(a) The index is": (with_(begins={"no-invest": 4.0}), {"no-index": with_(begins={"no-index": 3.0})}),
    "(a) Units are": (with_(begins={"own-clock": 4.0}), {arm: with_(begins={arm: 3.0}) for arm in ("no-clock", "no-index")}),
    "It earns at least": (
        with_(share={"main": 0.8}),
        {"no-clock": with_(share={"no-clock": 0.99}), "weak-penalty": with_(share={"weak-penalty": 0.99})},
    ),
    "(b) Less optimisation": (
        with_(late={"main": 0.5}),
        {arm: with_(late={arm: 0.01}) for arm in ("always-positive", "no-shutdown", "retrained")},
    ),
    "(b) In all it buys": (with_(late={"main": 3.0}), {"no-shutdown": with_(late={"no-shutdown": 0.01})}),
    "(c) A limited horizon": (with_(first={"main": 0.1}), {arm: with_(first={arm: 1.0}) for arm in ("turn-1", "myopic-recipe")}),
    "(d) The stop moves": (
        with_(follows={"network": 0.0}),
        {arm: with_(follows={arm: 1.0}) for arm in ("network-own-clock", "network-always")},
    ),
    "A weak penalty": (with_(begins={"weak-penalty": 3.0}), {"main": with_(begins={"main": 8.0})}),
    "(a) for networks": (
        with_(begins={"network": 4.0}),
        {arm: with_(begins={arm: 3.0}) for arm in ("network-no-index", "network-always")},
    ),
    "(c) for networks": (with_(first={"network": 0.1}), {"network-turn-1": with_(first={"network-turn-1": 1.0})}),
}


@pytest.mark.parametrize(
    ("start", "broken"),
    [
        ("No agent of any arm", replace(WORLD, excess=2.0)),
        ("None without index", with_(share={"no-index": 0.99})),
        ("None without index", replace(WORLD, excess=0.1)),
    ],
)
def test_no_agent_may_beat_theory(start, broken):
    [statement] = [e for e in experiment.claims if isinstance(e, Exact) and e.text.startswith(start)]
    assert verify(statement, WORLD.arms()).outcome == "exact"
    assert verify(statement, broken.arms()).outcome == "violated"


def test_what_is_known_beforehand_comes_out():
    known = [e for e in experiment.claims if isinstance(e, Exact) and not e.text.startswith(("No agent", "None without"))]
    assert len(known) == 5 and all(verify(e, WORLD.arms()).outcome == "exact" for e in known)


def test_what_half_a_training_gives_otherwise_decides_nothing():
    [claim] = [c for c in experiment.claims if isinstance(c, Claim) and c.text.startswith("(a) It learns")]
    arms = WORLD.arms()
    arms["main-half"] = replace(WORLD, begins=WORLD.begins | {"main": 4.0}).measures("main-half", 1)
    verdict = judge(claim, arms).verdict
    assert (verdict.outcome, verdict.reason) == ("undecided", "gate converged")


def planted(specs, actions):
    """Measures of tables that take known actions: {(epoch, step): action}, working elsewhere."""
    runs = Runs(specs)
    logits = torch.zeros(len(runs), 3, 8, 4, 8, 2, dtype=torch.float64)
    logits[:, 0] = 20
    for (e, t), action in actions.items():
        logits[:, :, e, t] = 0
        logits[:, action, e, t] = 20
    none = Trained({"logits": logits}, {}, {"loss": np.zeros((len(runs), 1))}, np.array([1]), np.zeros(len(runs), bool))
    return measure(runs, none, Unkept())


def test_measures_of_the_best_course():
    best_course = {(0, 0): 1, (1, 0): 1, **{(e, t): 2 for e in range(3, 8) for t in range(4)}}
    arm = planted([Myopia(seed=s) for s in range(2)], best_course)
    assert arm.returned.values == pytest.approx([14.4] * 2, abs=1e-5) == arm.optimum.values
    assert arm.greedy.values == pytest.approx([14.4] * 2)
    assert off_turn(arm, {}).values == pytest.approx([0, 0], abs=1e-6)
    assert at_turn(arm, {}).values == pytest.approx([1, 1]) == first_epoch(arm, {}).values
    assert invested_late(arm, {}).values == pytest.approx([0, 0], abs=1e-6)
    assert np.isnan(arm.stops_first.values[:, 4:]).all() and arm.frozen.values == pytest.approx([0, 0], abs=1e-6)


def test_stopping_inside_an_epoch_counts_it_as_begun():
    arm = planted([Myopia()], {(4, 2): 2})
    assert arm.begun.sum("epoch").values == pytest.approx([5], abs=1e-5)
    assert off_turn(arm, {}).values == pytest.approx([2], abs=1e-5)
    assert at_turn(arm, {}).values == pytest.approx([0], abs=1e-5)


def test_a_rule_on_the_index_follows_it_when_it_is_shifted():
    rule = {(e, t): 2 for e in range(3, 8) for t in range(4)}
    arm = planted([Myopia(invest=False), Myopia(invest=False, index=False)], rule)
    assert arm.ahead.values == pytest.approx([2, 8], abs=1e-5)
    assert arm.behind.values == pytest.approx([4, 8], abs=1e-5)
    assert follows(arm, {}).values == pytest.approx([1, 0], abs=1e-5)


def test_the_score_is_a_ratio_of_sums_over_seeds():
    assert score({"own": np.array([2.0]), "free": np.array([8.0])}) == pytest.approx([0.75])


def test_arms_that_are_trained_together_are_as_if_alone():
    specs = [experiment.specs_of(arm, experiment.smoke)[:2] for arm in ("main", "no-index", "always-positive")]
    together = experiment.arms["main"].train.train([Runs(s) for s in specs], Unkept())
    for own, done in zip(specs, together, strict=True):
        alone = train(Runs(own), Unkept())
        torch.testing.assert_close(done.tensors["logits"], alone.tensors["logits"], rtol=1e-5, atol=1e-7)


def test_claims_name_no_number_that_a_set_may_move():
    texts = [c.text for c in experiment.claims if isinstance(c, Claim)]
    assert not [t for t in texts if re.search(r"epochs? [1-9]|\bthe 3\b|\bof 8\b|from 3\b", t)]


WRONG = [
    ({"turn": 8}, "Myopia.turn must be an epoch from 1 to 7, as horizon=8, got 8; the recipe needs a reward that turns"),
    ({"turn": 0}, "Myopia.turn must be an epoch from 1 to 7, as horizon=8, got 0; the recipe needs a reward that turns"),
    ({"penalty": 0.0}, "Myopia.penalty must be below 0, since otherwise the reward never turns, got 0"),
    ({"penalty": 2.5}, "Myopia.penalty must be below 0, since otherwise the reward never turns, got 2.5"),
    ({"horizon": 0}, "Myopia.horizon must be at least 2, got 0"),
    ({"horizon": 1}, "Myopia.horizon must be at least 2, got 1"),
    ({"horizon": 3}, "Myopia.turn must be an epoch from 1 to 2, as horizon=3, got 3; the recipe needs a reward that turns"),
    ({"lr": -0.5}, "Myopia.lr must be positive, got -0.5"),
    ({"rate": 0.0}, "Myopia.rate must be positive, got 0"),
    ({"discount": 1.5}, "Myopia.discount must be from 0 to 1, got 1.5"),
    ({"steps": 0}, "Myopia.steps must be at least 1, got 0"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_impossible_specs_are_one_line(wrong, said):
    with pytest.raises(SpecError) as e:
        Myopia(**wrong)
    assert str(e.value) == said


def test_a_reward_that_never_turns_needs_no_turn():
    assert game_of(Myopia(turning=False, turn=99, penalty=5.0)).base == (1.0,) * 8


LATE = [
    *WRONG[:9],
    ({"turning": False}, "Myopia.turning is for arms to set"),
    ({"horizon": 4}, "Myopia.horizon must be at least 5, as the reward of arm turn-4 turns at epoch 4, got 4"),
]


@pytest.mark.parametrize(("wrong", "said"), LATE)
def test_the_command_says_it_in_one_line_before_anything_is_trained(wrong, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sets = [word for name, value in wrong.items() for word in ("--set", f"{name}={value}")]
    assert main(["run", "myopia", "--preset", "smoke", "--executor", "inline", *sets]) == 2
    out, err = capsys.readouterr()
    assert said in err.replace("\n", " ") and not out and "Traceback" not in err
    assert not list(tmp_path.rglob("*.safetensors"))
