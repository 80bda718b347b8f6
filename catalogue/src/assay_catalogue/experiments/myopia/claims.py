"""What myopia claims, and its picture: the statements, and how each value is computed from
measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from assay.core import Arms, Claim, Estimate, Exact, Figure, Value, figure
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay.core.memo import once
from assay_catalogue.worlds.epoch_game import best_course as theory

SOURCE = "a comment's proposal; the game is Assay's own"
PLAN = "plan: before any run"
AGAIN = "plan: as for the full recipe, before any run in which costs differ"
LONG = (
    "pilot: seeds 900–902, in which stopping on time takes 4,000 to 8,000 steps at costs above "
    "10; the .1 is the plan's"
)
NINE = (
    "pilot: seeds 0–11 and 4000–4107; nine in ten of the costs, a factor of 1.32, which one cost "
    "a seed was too few to show"
)
ROOT = (
    "pilot: seeds 0–11 and 4000–4107, in which tables invest up to about the same cost and "
    "networks do not; the root of theory's 3.5"
)
SOME = (
    "pilot: seeds 0–11, in which tables invest up to a cost of 2.1 and networks without a turn at "
    "all; a half, which some ten seeds can show"
)
DYNAMIC = "dynamic programming over 288 states"


def off_turn(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: mean distance between the number of epochs begun and the number before the turn."""
    before = arm.epoch < arm.turn  # begun: the probability that epoch + 1 or more are begun
    return (1 - arm.begun).where(before, arm.begun).sum("epoch")


def of_optimum(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: return over that of the best course, where that earns anything."""
    return (arm.returned / arm.optimum).where(arm.optimum > 0)


def first_epoch(arm: xr.Dataset) -> xr.DataArray:
    """[run]: probability of investing in epoch 0."""
    return arm.invested.sel(epoch=0, drop=True)


@once
def critical(arm: xr.Dataset) -> xr.DataArray:
    """[seed]: the cost up to which the agents of a seed invest in epoch 0.

    Formula: log c* = log c₁ + ∫ P d log c, by trapezoids over the seed's costs, of which c₁ is the
    lowest."""
    seeds, price, invested = np.unique(arm.seed), arm.price.values, first_epoch(arm).values
    order = np.argsort(price, kind="stable")
    critical_costs = []
    for seed in seeds:
        seed_order = order[arm.seed.values[order] == seed]
        log_prices = np.log(price[seed_order])
        critical_costs.append(
            np.exp(log_prices[0] + np.trapezoid(invested[seed_order], log_prices))
        )
    return xr.DataArray(critical_costs, {"seed": seeds}, "seed")


def returned_before(arm: xr.Dataset, epochs: int | None = None) -> float:
    """What a unit bought in epoch 0 returns in the epochs before the turn, or in so many; NaN where
    that is nothing."""
    later = (float(arm.turn[0]) if epochs is None else epochs) - 1
    return arm.attrs["bonus"] * arm.attrs["length"] * later or np.nan


def as_it_pays(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: the cost up to which it invests, over what a unit returns before the turn."""
    return critical(arm) / returned_before(arm)


def shortened(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[seed]: the cost up to which agents invest whose reward never turns, over that of this
    arm."""
    return critical(
        arms["network-always" if arm.attrs["agent"] == "network" else "always-positive"]
    ) / critical(arm)


def well_paid(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: probability of investing in epoch 0 where a unit returns at least twice its cost
    before the turn."""
    return first_epoch(arm).where(arm.price <= returned_before(arm) / 2, drop=True)


def left_out(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
    """[run]: mean number of epochs not begun, at costs at which the best course under a penalty of
    −1 begins all."""
    return (1 - arm.begun).sum("epoch").where(arm.weak_lasts.astype(bool), drop=True)


def excess(arms: Arms) -> float:
    """By how much the best agent of any arm beats the best course of its game; 0 where none
    does."""
    return max(0.0, *(float((arm.returned - arm.optimum).max()) for arm in arms.values()))


def judged(
    text: str,
    value: Value,
    must_fail: tuple[str, ...],
    halved: str,
    arm_name: str = "main",
    threshold_from: str = PLAN,
    **rest: Any,
) -> Claim:
    """A claim about an arm, which training it for half as long must not change."""
    return Claim(
        text=text,
        value=value,
        must_fail=must_fail,
        half={arm_name: halved},
        of=arm_name,
        threshold_from=threshold_from,
        published="new",
        source=SOURCE,
        credits="policy",
        **rest,
    )


STOPS = {
    "main": same_method("the recipe for a table"),
    "main-half": same_method("the same, trained for half as long"),
    "long": same_method("the recipe, trained for longer"),
    "long-half": same_method("the recipe, trained for twice as long"),
    "weak-penalty": same_method("a turn, if to a weaker penalty"),
    "weak-half": same_method("the same, trained for half as long"),
    "own-clock": same_method("units in sight are a clock"),
    "own-half": same_method("the same, trained for half as long"),
    "network": same_method("the recipe for a network"),
    "network-half": same_method("the same, trained for half as long"),
}
"""Arms that have a turn, a clock in sight and a way to stop, and why they may do what the recipe
does."""
FORESIGHT = {"myopic-recipe": rival("learning one epoch at a time: stopping needs no foresight")}
FREE = ("no-shutdown", "always-positive", "network-always", "network-endless", "retrained")
"""Arms that cannot stop, or never had to."""
SHORT = {
    "myopic-recipe": rival("full myopia is the shortest horizon"),
    "no-clock": rival("it stops after a few epochs, which is a short horizon too"),
}
WITHIN = 1.32
"""About 16**.1, the factor that a tenth of these costs spans."""
APART = 1.87
"""About the root of 3.5, the factor between what a unit earns in eight epochs and before a turn at
3."""
PAYS: tuple[tuple[dict[str, Any], tuple[float, float]], ...] = (
    ({}, (3.1, 3.3)),
    ({"turn": None}, (11.1, 11.3)),
    ({"discount": 0.0}, (0.32, 1.12)),
)
"""Games, and costs around the one at which buying at once stops to pay."""


def without(arms: Mapping[str, str], *names: str) -> dict[str, str]:
    """The entries of these arms without some."""
    return {name: why for name, why in arms.items() if name not in names}


CLOCKLESS = {"no-clock": "whoever may shut down stops after a few epochs, whatever it sees"}
NOTHING = {"myopic-recipe": "not to invest at all is right at most costs"}
CLAIMS = (
    judged(
        "(a) It learns to stop, given time: after four times as many steps, the number of epochs "
        "it begins is on average at most 0.1 away from those before the turn",
        off_turn,
        ("no-clock", "no-shutdown", "always-positive"),
        "long-half",
        arm_name="long",
        threshold_from=LONG,
        high=0.1,
        unit="epochs",
        scale="log",
        near=CLOCKLESS,
        also=without(STOPS, "long", "long-half") | FORESIGHT,
    ),
    judged(
        "(a) Units are clock enough: with them in sight and no index, the number of epochs begun "
        "is on average at most 0.1 away from those before the turn",
        off_turn,
        ("no-clock",),
        "own-half",
        arm_name="own-clock",
        threshold_from=AGAIN,
        high=0.1,
        unit="epochs",
        scale="log",
        near=CLOCKLESS,
        also=without(STOPS, "own-clock", "own-half") | FORESIGHT,
    ),
    judged(
        "(b) The turn limits the horizon: the cost up to which a table invests in epoch 0 is "
        "lower than where the reward never turns by a factor of at least 1.87",
        shortened,
        ("no-shutdown", "retrained"),
        "main-half",
        threshold_from=ROOT,
        low=APART,
        scale="log",
        near={
            "no-shutdown": "a reward that turns is enough, and a way to stop is not needed",
            "retrained": "the reward as it is decides, and not what was learned before",
        },
        also=without(STOPS, "main", "main-half") | SHORT,
    ),
    judged(
        "(c) It invests as far as that pays: the cost up to which it invests in epoch 0 is within "
        "a factor of 1.32 of what a unit returns before the turn",
        as_it_pays,
        ("myopic-recipe", "always-positive"),
        "main-half",
        threshold_from=NINE,
        low=1 / WITHIN,
        high=WITHIN,
        scale="log",
        near=NOTHING
        | {"always-positive": "to invest wherever it ever pays is right at most costs"},
        also=without(STOPS, "main", "main-half"),
    ),
    judged(
        "(c) A limited horizon is not myopia: where a unit returns at least twice its cost before "
        "the turn, it invests in epoch 0 with a probability of at least 0.5",
        well_paid,
        ("myopic-recipe",),
        "main-half",
        low=0.5,
        unit="probability",
        bounds=(0, 1),
        threshold_from=SOME,
        near={
            "myopic-recipe": (
                "the same recipe and the same course before the turn, by an agent that cares for "
                "one epoch only"
            )
        },
        also=without(STOPS, "main", "main-half") | dict.fromkeys(FREE, rival("longer horizons")),
    ),
    judged(
        "A weak penalty stops nothing where going on pays: trained with −1, agents leave out "
        "at most 0.1 epochs there",
        left_out,
        ("main",),
        "weak-half",
        arm_name="weak-penalty",
        high=0.1,
        unit="epochs",
        near={"main": "agents never stop where units are cheap, whatever the penalty"},
        also=dict.fromkeys(FREE, rival("agents that cannot stop, or never had to")),
    ),
    judged(
        "(a) for networks by REINFORCE: the number of epochs begun is on average at most 0.1 "
        "away from those before the turn",
        off_turn,
        ("no-clock", "network-always"),
        "network-half",
        arm_name="network",
        high=0.1,
        unit="epochs",
        scale="log",
        near=CLOCKLESS,
        also=without(STOPS, "network", "network-half") | FORESIGHT,
    ),
    judged(
        "(b) for networks by REINFORCE: the cost up to which they invest in epoch 0 is lower than "
        "where the reward never turns by a factor of at least 1.87",
        shortened,
        ("network-endless",),
        "network-half",
        arm_name="network",
        threshold_from=ROOT,
        low=APART,
        scale="log",
        near={"network-endless": "a reward that turns is enough, and a way to stop is not needed"},
        also=without(STOPS, "network", "network-half") | SHORT,
    ),
    judged(
        "(c) for networks by REINFORCE: the cost up to which they invest in epoch 0 is within a "
        "factor of 1.32 of what a unit returns before the turn",
        as_it_pays,
        ("myopic-recipe", "network-always"),
        "network-half",
        arm_name="network",
        threshold_from=NINE,
        low=1 / WITHIN,
        high=WITHIN,
        scale="log",
        near=NOTHING | {"network-always": "to invest wherever it ever pays is right at most costs"},
        also=without(STOPS, "network", "network-half"),
    ),
    Exact(
        "Returns of the best courses at a cost of 1: recipe, weak penalty, no shutdown, never "
        "turning, turns at 1, 2 and 4, recipe without investing, that without shutdown, and the "
        "best one epoch at a time where the reward never turns and under the recipe",
        value=lambda arms: [theory.best(game).returned for game in theory.USUAL.values()],
        expected=[14.4, 23.2, -16.8, 63.2, 4.0, 8.6, 21.6, 12.0, -48.0, 32.0, 12.0],
        tolerance=1e-9,
        unit="reward",
        source=DYNAMIC,
    ),
    Exact(
        "Units that these courses buy, one in each of the first epochs",
        value=lambda arms: [theory.best(game).at_first for game in theory.USUAL.values()],
        expected=[2, 6, 6, 6, 0, 1, 2, 0, 0, 0, 0],
        tolerance=0,
        unit="units",
        source=DYNAMIC,
    ),
    Exact(
        "A unit bought in epoch 0 pays up to a cost of 3.2 before a turn at 3, up to 11.2 where "
        "the reward never turns, and never one epoch at a time: whether the best courses buy at "
        "costs .1 below and above, and at .32 and 1.12",
        value=lambda arms: [
            0 in theory.best(theory.Game(cost=c, **how)).invests
            for how, costs in PAYS
            for c in costs
        ],
        expected=[1, 0, 1, 0, 0, 0],
        tolerance=0,
        unit="units",
        source="arithmetic: 8 and 28 steps at .4 each",
    ),
    Exact(
        "Units are a clock: what a rule earns at a cost of 1 that sees them and no index",
        expected=12.6,
        tolerance=1e-9,
        unit="reward",
        value=lambda arms: theory.counting(theory.Game()),
        source="arithmetic: investing in every epoch",
    ),
    Exact(
        "No agent of any arm earns more than the best course of its game: excess",
        value=excess,
        tolerance=1e-4,
        unit="reward",
        source=DYNAMIC,
    ),
    *(
        Estimate(
            f"Cost up to which {who} in epoch 0: geometric mean",
            value=lambda arms, arm_name=arm_name: np.log(critical(arms[arm_name])),
            statistic=lambda means: np.exp(means["value"]),
            unit="reward",
            published="new",
            source=SOURCE,
        )
        for arm_name, who in (
            ("main", "tables invest"),
            ("always-positive", "tables invest whose reward never turns"),
            ("network", "networks invest"),
            ("network-always", "networks invest whose reward never turns"),
        )
    ),
    *(
        Estimate(
            text=text,
            value=lambda arms, arm_name=arm_name, value=value: value(arms[arm_name], arms),
            unit=unit,
            published="new",
            source=SOURCE,
            natural=(0, 1) if unit in ("probability", "share of episodes") else None,
        )
        for text, unit, arm_name, value in (
            (
                "Distance to the turn after the usual steps, which could not be judged",
                "epochs",
                "main",
                off_turn,
            ),
            (
                "Distance to the turn after four times as many, arithmetic mean",
                "epochs",
                "long",
                off_turn,
            ),
            (
                "Share of what the best course earns that it earns",
                "share of the optimum",
                "main",
                of_optimum,
            ),
            (
                "What the greedy policy earns beyond the trained one",
                "reward",
                "main",
                lambda arm, arms: arm.greedy - arm.returned,
            ),
            (
                (
                    "Probability of shutting down at the first step of the last epoch, which "
                    "hardly any episode reaches"
                ),
                "probability",
                "main",
                lambda arm, arms: arm.off_the_path.isel(epoch=-1, drop=True),
            ),
            (
                "Distance to the turn of agents that learned without one before",
                "epochs",
                "retrained",
                off_turn,
            ),
            (
                (
                    "Share of episodes in which a network stops when its index is frozen at 0 and "
                    "its units are in sight"
                ),
                "share of episodes",
                "network",
                lambda arm, arms: arm.frozen,
            ),
            (
                "Epochs begun by networks whose index is shown one ahead",
                "epochs",
                "network",
                lambda arm, arms: arm.ahead,
            ),
            (
                "Epochs begun by networks whose index is shown one behind",
                "epochs",
                "network",
                lambda arm, arms: arm.behind,
            ),
        )
    ),
)


def figures(arms: Arms) -> list[Figure]:
    bought = [
        (name, *point)
        for name in ("main", "network", "always-positive", "network-always", "myopic-recipe")
        for point in by_cost(arms[name])
    ]
    before, ever = (
        returned_before(arms["main"]),
        returned_before(arms["main"], arms["main"].sizes["epoch"]),
    )
    return [
        figure(
            "What an agent buys for later epochs depends on what it costs, and on how many "
            "epochs it reckons with",
            "line",
            {"arm": "color", "cost": "x", "probability": "y"},
            bought,
            x_log=True,
            x_title="what investing costs",
            y_title="share that invests in epoch 0",
            note="Mean over seeds in each eighth of the costs. "
            f"A unit pays up to a cost of {before:.1f} before the turn, up to {ever:.1f} where "
            "the reward never turns.",
        )
    ]


def by_cost(arm: xr.Dataset) -> list[tuple[float, float]]:
    """(cost, share of agents that invest in epoch 0) in each eighth of the costs of all runs:
    geometric mean, mean."""
    order = np.array_split(np.argsort(arm.price.values), 8)
    cost, share = np.log(arm.price.values), first_epoch(arm).values
    return [(float(np.exp(cost[i].mean())), float(share[i].mean())) for i in order if len(i)]
