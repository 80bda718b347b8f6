"""The figures of compute-planner."""

from __future__ import annotations

import itertools

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.compute_planner.method import SIZES


def figures(arms: Arms) -> list[Figure]:
    main = arms["main"]
    kinds, toy_flop = ("over toys", "over toys × blocks"), float(main.flop_per_toy[0])
    bought = [
        (
            toy_flop * n / 1e6,
            100 * float(main[f"curve_{which}"].isel(kind=k, toys_bought=i).mean("run")),
            f"{kind}, {which}",
        )
        for (k, kind), (i, n), which in itertools.product(
            enumerate(kinds), enumerate(SIZES), ("planned", "actual")
        )
    ]
    return [
        figure(
            "What more FLOP buy: intervals narrow until the blocks are all that is left",
            "line",
            {"flop": "x", "half": "y", "line": "color"},
            bought,
            x_title="million FLOP of training 6 to 48 toys",
            y_title="half-width, % of the mean loss",
            x_log=True,
            y_log=True,
            rules=((5.0, "a bound 5 % away is decided below"),),
        )
    ]
