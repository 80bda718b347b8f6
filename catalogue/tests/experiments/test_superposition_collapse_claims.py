"""Planted worlds for superposition-collapse: who is represented at which density, by importance, by
index, or by chance.

`tests/claims/test_catalogue_bar.py` judges every claim in WORLD and CASES; only what is this
experiment's own is tested here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from named_claims import claim_of
from planted_arms import planted_arms

from assay.core.bench import Unkept
from assay.core.errors import SpecError
from assay.core.judging import judge
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.experiments import superposition_collapse as collapse
from assay_catalogue.experiments.superposition_collapse import Collapse, experiment

FALLS, FLAT = (5, 4, 3, 2, 2), (2,) * 5
"""Represented features at each density, the sparsest first."""


@dataclass(frozen=True)
class World:
    """Per arm: how many features are represented at each density, and which: the most important
    ones, or any."""

    count: dict = field(default_factory=lambda: {"main": FALLS, "uniform": FALLS, "linear": FLAT})
    kept: dict = field(
        default_factory=lambda: {"main": "first", "uniform": "any", "linear": "first"}
    )
    identity: bool = False
    """Whether the order that is drawn happens to be the index's."""
    lucky: float = 0.7
    """Share of seeds and densities that find the best arrangement; the others represent one feature
    more, any, and cost more."""

    def arms(self) -> dict:
        return planted_arms(experiment, self.measures)

    def measures(self, arm: str, stream: int):
        runs = Runs(experiment.specs_of(arm, experiment.default))
        of, rng, n, f = arm.removesuffix("-half"), np.random.default_rng(stream), len(runs), 5
        weight = collapse.importances(runs).numpy()
        if self.identity:
            weight = np.sort(weight)[:, ::-1]
        shape = (n, len(self.count[of]), f)
        rank = np.broadcast_to((-weight).argsort(kind="stable").argsort()[:, None], shape)
        chance = rng.permuted(np.broadcast_to(np.arange(f), shape), axis=-1)
        found = rng.uniform(size=shape[:2]) < self.lucky
        place = np.where(found[..., None], rank if self.kept[of] == "first" else chance, chance)
        count = np.array(self.count[of]) + ~found
        return measures(
            runs,
            coords={"density": experiment.default[0].densities},
            held_out=(
                "run density",
                np.where(found, 0.01, 0.02) + rng.uniform(0, 1e-3, shape[:2]),
                "squared input",
            ),
            importance=("run feature", weight, "1"),
            represented=("run density feature", place < count[..., None], "bool"),
        )


WORLD = World()


def with_(world=WORLD, identity=False, **arms):
    """The world with these arms' counts (a tuple) or kept features (a word)."""
    count = world.count | {k: v for k, v in arms.items() if isinstance(v, tuple)}
    kept = world.kept | {k: v for k, v in arms.items() if isinstance(v, str)}
    return replace(world, count=count, kept=kept, identity=identity)


SURE = replace(WORLD, lucky=1.0)
# claim → (the world without the effect, {control: a world in which it passes too})
CASES = {
    "Denser inputs keep fewer": (with_(main=FLAT), {"single": SURE}),
    "Where only some": (with_(main="any"), {"by-index": with_(identity=True), "single": SURE}),
    "In single runs": (
        with_(main="any"),
        {"uniform": with_(uniform="first"), "by-index": with_(identity=True)},
    ),
}


def test_an_order_that_is_lost_as_training_goes_on_decides_nothing():
    arms = replace(WORLD, lucky=0.5).arms()
    arms["main-half"] = SURE.measures("main-half", list(experiment.arms).index("main-half"))
    verdict = judge(claim_of(experiment, "In single runs"), arms).verdict
    assert verdict.reason == "gate converged"


def test_order_by_hand():
    # ranks 0 … 4 by density: all, then all but the third, then the first two
    rows = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 0, 0, 0]], dtype=bool)
    arm = planted(rows)
    assert collapse.in_order(arm, {}).values.tolist() == [
        0.5
    ]  # two densities at which some are kept, in order at one
    assert collapse.collapsed(arm, {}).values.tolist() == [1.0]
    assert collapse.collapsed(planted(rows[[0, 1, 1]]), {}).values.tolist() == [0.0]
    # dropped from (2, 2, 0.5, 1, 1) on: 7 pairs agree, 1 (the third before the fourth and fifth: 2
    # pairs) … by definition:
    from itertools import combinations

    dropped = [2, 2, 0.5, 1, 1]
    signs = [np.sign(dropped[i] - dropped[j]) for i, j in combinations(range(5), 2)]
    ties = sum(s == 0 for s in signs)
    assert collapse.drop_order({"main": arm}).values[0] == pytest.approx(
        sum(signs) / np.sqrt(10 * (10 - ties))
    )
    # kept and missing in one run: 4 pairs of which 2 in order (0 and 1 over 2), then 6 of 6
    terms = collapse.pairs(arm, {})
    assert (terms["ordered"].values[0], terms["pairs"].values[0]) == (2 + 6, 4 + 6)


def test_where_nothing_is_given_up_there_is_no_order():
    always = planted(np.ones((3, 5), dtype=bool))
    assert (
        np.isnan(collapse.in_order(always, {}).values).all()
        and np.isnan(collapse.drop_order({"main": always}).values).all()
    )


def test_a_single_start_is_the_first_of_its_group():
    main, one = (WORLD.arms()[name].represented.values for name in ("main", "single"))
    assert (one == np.repeat(main[:: collapse.GROUP], collapse.GROUP, axis=0)).all()


@pytest.mark.parametrize(
    ("seeds", "told"),
    [(range(3000, 3008), "got 8 from 3000 on"), (range(3010, 3040), "got 30 from 3010 on")],
)
def test_a_group_is_whole(seeds, told):
    with pytest.raises(SpecError, match=told) as error:
        experiment.specs_of("main", tuple(Collapse(permuted=True, seed=s) for s in seeds))
    assert "\n" not in str(error.value)


def planted(rows, seeds=collapse.GROUP):
    """An arm whose seeds all represent these features, [density, feature]."""
    p = (0.1, 0.5, 1.0)
    runs = Runs([Collapse(densities=p, seed=s) for s in range(seeds)])
    return measures(
        runs,
        coords={"density": p},
        held_out=("run density", np.ones((seeds, 3)), "squared input"),
        importance=("run feature", collapse.importances(runs), "1"),
        represented=("run density feature", np.broadcast_to(rows, (seeds, *rows.shape)), "bool"),
    )


def test_seeds_of_a_group_share_one_problem():
    runs = Runs([Collapse(permuted=True, seed=s) for s in range(1000, 1040)])
    weight = collapse.importances(runs)
    assert (
        (weight[:20] == weight[0]).all()
        and (weight[20:] == weight[20]).all()
        and (weight[0] != weight[20]).any()
    )


def test_densities_train_as_if_alone():
    one, three = (
        Runs([Collapse(steps=50, densities=p, seed=s) for s in (3, 4)])
        for p in ((0.3,), (0.1, 0.3, 1.0))
    )
    alone, together = (collapse.train(runs, Unkept()) for runs in (one, three))
    torch.testing.assert_close(
        together.tensors["W"][:, [1]], alone.tensors["W"], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"features": 2}, "more features than dimensions"),
        (
            {"densities": (0.1, 1.5)},
            "each of Collapse.densities must be above 0 and at most 1, got 1.5",
        ),
        (
            {"densities": (0.0, 0.5)},
            "each of Collapse.densities must be above 0 and at most 1, got 0",
        ),
        ({"densities": (0.5, 0.1)}, "must ascend"),
        ({"densities": ()}, "must ascend"),
        (
            {"ratio": 0.0},
            "ratio must be above 0 and at most 1, so that every importance is positive, got 0",
        ),
        ({"lr": 0.0}, "lr must be positive"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_bad_input_is_one_clear_line(fields, told):
    with pytest.raises(SpecError, match=told) as error:
        Collapse(**fields)
    assert "\n" not in str(error.value)
