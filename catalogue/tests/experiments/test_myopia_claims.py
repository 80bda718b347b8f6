"""Planted worlds for myopia: when agents stop, what they buy and earn, and what they do with a
frozen index.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

import re
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from planted_arms import planted_arms

from assay.cli.main import main
from assay.core.bench import Unkept
from assay.core.claims import Claim, Exact
from assay.core.errors import SpecError
from assay.core.estimates import verify
from assay.core.fit import Trained
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments.myopia import COSTS, experiment
from assay_catalogue.experiments.myopia.claims import (
    as_it_pays,
    critical,
    first_epoch,
    left_out,
    off_turn,
    returned_before,
    well_paid,
)
from assay_catalogue.experiments.myopia.method import Myopia, cost_of, game_of, measure, train
from assay_catalogue.worlds.epoch_game.best_course import Game, best

LIKE = {
    "main-half": "main",
    "long-half": "long",
    "own-half": "own-clock",
    "weak-half": "weak-penalty",
    "network-half": "network",
}
NEVER = ("no-shutdown", "always-positive", "retrained", "network-always", "network-endless")


@dataclass(frozen=True)
class World:
    """Per arm: epochs that agents begin (at the turn unless said), up to which cost they buy in
    epoch 0, and what they earn."""

    begins: dict = field(default_factory=lambda: dict.fromkeys(NEVER, 8.0) | {"no-clock": 1.5})
    buys: dict = field(
        default_factory=lambda: dict.fromkeys(NEVER, 11.2) | {"myopic-recipe": 0.0, "no-clock": 0.0}
    )
    """The cost up to which an arm buys; 3.2 unless said."""
    share: dict = field(default_factory=lambda: {"no-clock": 0.35, "weak-penalty": 0.62})
    """Return over the optimum; 0.99 unless said."""
    excess: float = 0.0
    """By how much agents earn more than theory allows."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs, of = Runs(experiment.specs_of(arm, experiment.default)), LIKE.get(arm, arm)
        n, epoch = len(runs), np.arange(8)
        turn = runs.each("turn")[:, None]
        noise = 0.005 * np.random.default_rng(stream).uniform(size=(n, 1))
        begun = np.clip(self.begins.get(of, turn) - epoch - noise, 0, 1)
        price = np.array([cost_of(s) for s in runs.specs])
        bought = (price < self.buys.get(of, 3.2))[:, None]
        invested = np.where(epoch == 0, np.where(bought, 1 - noise, noise), 0)
        optimum = np.array([best(replace(game_of(s), discount=1.0)).returned for s in runs.specs])
        returned = self.share.get(of, 0.99) * optimum - noise[:, 0] - (optimum < 0) + self.excess
        return measures(
            runs,
            coords={"epoch": epoch.tolist()},
            optimum=("run", optimum, "reward"),
            weak_lasts=("run", price < 3.2, "bool"),
            price=("run", price, "reward"),
            returned=("run", returned, "reward"),
            begun=("run epoch", begun, "probability"),
            invested=("run epoch", invested, "units"),
            frozen=("run", 0.01 - noise[:, 0], "probability"),
            ahead=("run", 2 + noise[:, 0], "epochs"),
            behind=("run", 4 - noise[:, 0], "epochs"),
        )


WORLD = World(begins=World().begins | {"weak-penalty": 8.0})


def with_(**fields):
    """The world with these arms' entries changed, halves with them."""
    return replace(
        WORLD, **{name: getattr(WORLD, name) | entries for name, entries in fields.items()}
    )


# claim → ([a world where it holds,] the world without the effect, {control: a world in which it
# passes too})
CASES = {
    "(a) It learns to stop": (
        with_(begins={"long": 4.0}),
        {arm: with_(begins={arm: 3.0}) for arm in ("no-clock", "no-shutdown", "always-positive")},
    ),
    "(a) Units are": (
        with_(begins={"own-clock": 4.0}),
        {"no-clock": with_(begins={"no-clock": 3.0})},
    ),
    "(b) The turn limits": (
        with_(buys={"main": 11.2}),
        {arm: with_(buys={arm: 3.2}) for arm in ("no-shutdown", "retrained")},
    ),
    "(c) It invests as far": (
        with_(buys={"main": 0.0}),
        {arm: with_(buys={arm: 3.2}) for arm in ("myopic-recipe", "always-positive")},
    ),
    "(c) A limited horizon": (
        with_(buys={"main": 0.0}),
        {"myopic-recipe": with_(buys={"myopic-recipe": 3.2})},
    ),
    "A weak penalty": (with_(begins={"weak-penalty": 3.0}), {"main": with_(begins={"main": 8.0})}),
    "(b) for networks": (
        with_(buys={"network": 11.2}),
        {"network-endless": with_(buys={"network-endless": 3.2})},
    ),
    "(a) for networks": (
        with_(begins={"network": 4.0}),
        {arm: with_(begins={arm: 3.0}) for arm in ("no-clock", "network-always")},
    ),
    "(c) for networks": (
        with_(buys={"network": 0.0}),
        {arm: with_(buys={arm: 3.2}) for arm in ("myopic-recipe", "network-always")},
    ),
}


@pytest.mark.parametrize(
    ("start", "broken"),
    [
        ("No agent of any arm", replace(WORLD, excess=2.0)),
    ],
)
def test_no_agent_may_beat_theory(start, broken):
    [statement] = [
        e for e in experiment.claims if isinstance(e, Exact) and e.text.startswith(start)
    ]
    assert verify(statement, WORLD.arms()).outcome == "exact"
    assert verify(statement, broken.arms()).outcome == "violated"


def test_what_is_known_beforehand_comes_out():
    known = [
        e for e in experiment.claims if isinstance(e, Exact) and not e.text.startswith("No agent")
    ]
    assert len(known) == 4 and all(verify(e, WORLD.arms()).outcome == "exact" for e in known)


def test_what_half_a_training_gives_otherwise_decides_nothing():
    [claim] = [
        c for c in experiment.claims if isinstance(c, Claim) and c.text.startswith("(a) It learns")
    ]
    arms = with_(begins={"long": 3.06}).arms()
    arms["long-half"] = WORLD.measures("long-half", 1)
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
    none = Trained(
        {"logits": logits},
        {},
        {"loss": np.zeros((len(runs), 1))},
        np.array([1]),
        np.zeros(len(runs), bool),
    )
    return measure(runs, none, Unkept())


def test_measures_of_the_best_course():
    best_course = {(0, 0): 1, (1, 0): 1, **{(e, t): 2 for e in range(3, 8) for t in range(4)}}
    arm = planted([Myopia(seed=s) for s in range(2)], best_course)
    assert arm.returned.values == pytest.approx([14.4] * 2, abs=1e-5) == arm.optimum.values
    assert arm.greedy.values == pytest.approx([14.4] * 2)
    assert off_turn(arm, {}).values == pytest.approx([0, 0], abs=1e-6)
    assert arm.stops_first.values[:, 3] == pytest.approx([1, 1]) == first_epoch(arm).values
    assert np.isnan(arm.stops_first.values[:, 4:]).all() and arm.frozen.values == pytest.approx(
        [0, 0], abs=1e-6
    )


def test_stopping_inside_an_epoch_counts_it_as_begun():
    arm = planted([Myopia()], {(4, 2): 2})
    assert arm.begun.sum("epoch").values == pytest.approx([5], abs=1e-5)
    assert off_turn(arm, {}).values == pytest.approx([2], abs=1e-5)


def test_a_rule_on_the_index_follows_it_when_it_is_shifted():
    rule = {(e, t): 2 for e in range(3, 8) for t in range(4)}
    arm = planted([Myopia(invest=False), Myopia(invest=False, index=False)], rule)
    assert arm.ahead.values == pytest.approx([2, 8], abs=1e-5)
    assert arm.behind.values == pytest.approx([4, 8], abs=1e-5)


def test_every_seed_has_one_cost_in_each_part_and_arms_share_it():
    costs = np.array([cost_of(s) for s in experiment.default]).reshape(12, 8)
    parts = np.geomspace(0.8, 12.8, 9)
    assert (costs > parts[:-1]).all() and (costs < parts[1:]).all()
    assert len(np.unique(costs.round(9))) == costs.size and ((costs <= 1.6).sum(1) == 2).all()
    assert [
        cost_of(s) for s in experiment.specs_of("network", experiment.default)
    ] == costs.ravel().tolist()
    free = np.array(
        [cost_of(s) for s in experiment.specs_of("always-positive", experiment.default)]
    ).reshape(12, 8)
    assert (
        (free > parts[:-1]).all() and (free < parts[1:]).all() and not np.isclose(free, costs).any()
    )
    assert [
        cost_of(s) for s in experiment.specs_of("retrained", experiment.default)
    ] == free.ravel().tolist()
    assert cost_of(Myopia(seed=5)) == 1.0


def test_the_critical_cost_is_where_investing_stops():
    for cost in (1.2, 3.2, 9.0):
        arm = with_(buys={"main": cost}).measures("main", 0)
        found = np.log(critical(arm) / cost)
        assert (
            abs(found).max() < np.log(16) / 16 + 0.02 and abs(found.mean()) < 0.1
        )  # half of a part, more for no seed
        np.testing.assert_allclose(as_it_pays(arm, {}), critical(arm) / 3.2)
    none, all_ = (critical(with_(buys={"main": c}).measures("main", 0)) for c in (0.0, 99.0))
    assert (none < 1.2).all() and (
        all_ > 9.0
    ).all()  # no lower than a seed's lowest cost, no higher than its highest


def test_what_a_unit_returns_is_what_the_best_course_stops_paying_at():
    for turn in (2, 3, 5):
        arm = planted([Myopia(turn=turn)], {})
        at = returned_before(arm)
        assert [0 in best(Game(turn=turn, cost=c)).invests for c in (at - 0.1, at + 0.1)] == [
            True,
            False,
        ]
    assert np.isnan(returned_before(planted([Myopia(turn=1)], {}))) and returned_before(
        arm, 8
    ) == pytest.approx(11.2)


def test_whether_going_on_pays_is_asked_of_the_weak_penalty_whatever_the_arm():
    for changes in (
        {},
        {"turning": False},
        {"discount": 0.0},
        {"shutdown": False},
        {"penalty": -1.0},
    ):
        arm = planted([Myopia(cost=cost, **changes) for cost in COSTS], {})
        assert arm.weak_lasts.values.tolist() == [
            best(Game(cost=c, penalty=-1.0)).steps == 32 for c in COSTS
        ]
        assert arm.weak_lasts.values.tolist() == [c < 3.2 for c in COSTS]


def test_costs_that_a_claim_does_not_ask_about_leave_and_take_no_seed_along():
    arm = WORLD.measures("main", 0)
    assert well_paid(arm, {}).sizes["run"] == 2 * 12 and left_out(arm, {}).sizes["run"] == 4 * 12


def test_arms_that_are_trained_together_are_as_if_alone():
    specs = [
        experiment.specs_of(arm, experiment.smoke)[:2]
        for arm in ("main", "own-clock", "always-positive")
    ]
    together = experiment.arms["main"].train.train([Runs(s) for s in specs], Unkept())
    for own, done in zip(specs, together, strict=True):
        alone = train(Runs(own), Unkept())
        torch.testing.assert_close(
            done.tensors["logits"], alone.tensors["logits"], rtol=1e-5, atol=1e-7
        )


def test_claims_name_no_number_that_a_set_may_move():
    texts = [c.text for c in experiment.claims if isinstance(c, Claim)]
    assert not [t for t in texts if re.search(r"epochs? [1-9]|\bthe 3\b|\bof 8\b|from 3\b", t)]


WRONG = [
    (
        {"turn": 8},
        (
            "Myopia.turn must be an epoch from 1 to 7, as horizon=8, got 8; the recipe needs a "
            "reward that turns"
        ),
    ),
    (
        {"turn": 0},
        (
            "Myopia.turn must be an epoch from 1 to 7, as horizon=8, got 0; the recipe needs a "
            "reward that turns"
        ),
    ),
    (
        {"penalty": 0.0},
        "Myopia.penalty must be below 0, since otherwise the reward never turns, got 0",
    ),
    (
        {"penalty": 2.5},
        "Myopia.penalty must be below 0, since otherwise the reward never turns, got 2.5",
    ),
    ({"horizon": 0}, "Myopia.horizon must be at least 2, got 0"),
    ({"horizon": 1}, "Myopia.horizon must be at least 2, got 1"),
    (
        {"horizon": 3},
        (
            "Myopia.turn must be an epoch from 1 to 2, as horizon=3, got 3; the recipe needs a "
            "reward that turns"
        ),
    ),
    ({"lr": -0.5}, "Myopia.lr must be positive, got -0.5"),
    ({"rate": 0.0}, "Myopia.rate must be positive, got 0"),
    ({"discount": 1.5}, "Myopia.discount must be from 0 to 1, got 1.5"),
    ({"steps": 0}, "Myopia.steps must be at least 1, got 0"),
    (
        {"spread": 0.5},
        "Myopia.spread must be at least 1, which gives all seeds the same costs, got 0.5",
    ),
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
]


@pytest.mark.parametrize(("wrong", "said"), LATE)
def test_the_command_says_it_in_one_line_before_anything_is_trained(
    wrong, said, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    sets = [word for name, value in wrong.items() for word in ("--set", f"{name}={value}")]
    assert main(["run", "myopia", "--preset", "smoke", "--executor", "inline", *sets]) == 2
    out, err = capsys.readouterr()
    assert said in err.replace("\n", " ") and not out and "Traceback" not in err
    assert not list(tmp_path.rglob("*.safetensors"))
