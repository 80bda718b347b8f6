"""The figures of compute-planner."""

from __future__ import annotations

import itertools

import numpy as np

from assay.core import Arms, Figure, figure
from assay.core.compute import Range
from assay_catalogue.experiments.compute_planner.flop import search, training
from assay_catalogue.experiments.compute_planner.method import SIZES


def figures(arms: Arms) -> list[Figure]:
    main, timing = arms["main"], arms["timed"]
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
    middle = np.sqrt(timing.cpu_low * timing.cpu_high)
    ratio, names = (timing.cpu / middle).values, timing.entry.values.tolist()
    took = [
        (float(middle[i, j]), float(ratio[i, j]), names[i])
        for i, j in np.argwhere(np.isfinite(ratio))
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
        ),
        figure(
            "CPU-seconds of commands over those planned",
            "points",
            {"planned": "x", "ratio": "y", "entry": "color"},
            took,
            x_title="planned CPU-seconds, middle of the range",
            y_title="actual CPU-seconds over planned",
            y_log=True,
            rules=((0.5, "half"), (1.0, "as planned"), (2.0, "twice")),
        ),
        figure(
            "Amp's two phases: one known, the other over three orders of magnitude",
            "points",
            {"phase": "x", "flop": "y", "tokens": "color"},
            phases(),
            x_title="phase, and FLOP per parameter and token",
            y_title="FLOP",
            y_log=True,
            rules=((1e34, "about 1e34, as the comment says of each"),),
        ),
    ]


def phases() -> list[tuple[str, float, str]]:
    """(phase, FLOP, tokens a call) of Amp, the search with one token a call and with a whole
    context of 2,048."""
    rows = [("training, 6", training(1e17, 1e17).low, "one token a call")]
    for per_token in (6, 2):
        flop = search(1e17, Range(1, 2048), 1e8, 5e4, 5e4, per_token)
        rows += [
            (f"search, {per_token}", flop.low, "one token a call"),
            (f"search, {per_token}", flop.high, "2,048 tokens a call"),
        ]
    return rows
