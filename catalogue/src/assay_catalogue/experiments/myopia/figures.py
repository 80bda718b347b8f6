"""The figures of myopia."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.core import Arms, Figure, by_level, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.myopia.claims import first_epoch, returned_before


def figures(arms: Arms) -> list[Figure]:
    begun = lines(
        arms, ("main", "network", "own-clock", "no-clock", "always-positive"), "begun", "epoch"
    )
    learn = lines(arms, ("main", "weak-penalty", "no-clock", "network"), "loss", "step", sign=-1)
    conditions = (
        "main",
        "weak-penalty",
        "no-clock",
        "own-clock",
        "no-shutdown",
        "always-positive",
        "myopic-recipe",
        "network",
    )
    kinds = {"optimum": "optimum", "as trained": "returned", "greedy": "greedy"}
    earned = [
        (name, kind, float(arms[name][variable].mean()))
        for name in conditions
        for kind, variable in kinds.items()
    ]
    bought = [
        (name, *point)
        for name in ("main", "network", "always-positive", "network-always", "myopic-recipe")
        for point in by_cost(arms[name])
    ]
    turns = " or ".join(map(str, np.unique(arms["main"].turn)))
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
        ),
        figure(
            "Agents stop at the turn; with no clock in sight they stop anywhere, without the "
            "turn nowhere",
            "bars",
            {"arm": "facet", "epoch": "x", "mean": "mean"},
            begun,
            x_title="epoch",
            y_title="probability of beginning it",
            note=(
                f"The reward turns at epoch {turns}, of always-positive never. own-clock sees its "
                "units and no index, no-clock neither."
            ),
        ),
        figure(
            "What is earned, and what could be",
            "bars",
            {"arm": "x", "policy": "color", "return": "y"},
            earned,
            x_title="condition",
            y_title="return of an episode, mean over costs",
        ),
        figure(
            "Tables learn in a hundred steps, networks from episodes in a few hundred",
            "line",
            {"arm": "color", "step": "x", "mean": "mean"},
            learn,
            x_log=True,
            x_title="training step",
            y_title="return of an episode",
        ),
    ]


def by_cost(arm: xr.Dataset) -> list[tuple[float, float]]:
    """(cost, share of agents that invest in epoch 0) in each eighth of the costs of all runs:
    geometric mean, mean."""
    order = np.array_split(np.argsort(arm.price.values), 8)
    cost, share = np.log(arm.price.values), first_epoch(arm).values
    return [(float(np.exp(cost[i].mean())), float(share[i].mean())) for i in order if len(i)]


def lines(arms: Arms, names: Sequence[str], variable: str, dim: str, sign: int = 1) -> list[tuple]:
    """Rows of a measure along a dim, each with the values of all runs."""
    written = str if dim == "epoch" else int
    return [
        (name, written(position), sign * values)
        for name in names
        for position, values in by_level(arms[name][variable], dim)
    ]
