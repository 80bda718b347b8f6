"""The figures of myopia."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.myopia.claims import first_epoch, returned_before


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
