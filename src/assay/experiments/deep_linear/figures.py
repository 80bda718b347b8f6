"""The figures of deep-linear."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, columns, summary
from assay.experiments.deep_linear.method import START
from assay.worlds.linear import one_mode as theory

NAMES = {
    "main": "two layers",
    "shallow": "one layer, same map",
    "lopsided": "two layers, same map, split unevenly",
}


def figures(arms: Arms) -> list[Figure]:
    return [in_time(arms), by_start(arms)]


def in_time(arms: Arms) -> Figure:
    """What is held of each mode along time, means over seeds: trained, in three panels."""
    rows = []
    for name, panel in NAMES.items():
        arm = arms[name].isel(run=(arms[name].start == START).values)
        rows += [
            (panel, f"strength {x:g}", float(t), *summary(arm.held.sel(strength=x, time=t).values))
            for x in arm.strength.values
            for t in arm.time.values[arm.time.values <= 4]
        ]
    return Figure(
        "From one and the same map: step by step, or all at once",
        columns(("network", "mode", "time", "mean", "low", "high"), rows),
        "line",
        x="time",
        y="mean",
        color="mode",
        facet="network",
        band=("low", "high"),
        x_title="time (τ: steps times rate)",
        y_title="what is held of the mode",
    )


def by_start(arms: Arms) -> Figure:
    """Rise time over half time by the start: trained, and as the curves of balanced layers say."""
    rows = []
    for name, panel in NAMES.items():
        for x in sorted(set(arms[name].start.values.tolist())):
            arm = arms[name].isel(run=(arms[name].start == x).values)
            rows.append(
                (panel, x, *summary(((arm.t90 - arm.t10) / arm.t50).isel(strength=0).values))
            )
    top = float(arms["main"].strength[0])
    rows += [
        (
            "balanced layers, in theory",
            float(x),
            theory.sharpness(top, float(x)),
            *[float("nan")] * 2,
        )
        for x in np.geomspace(1e-3, 0.3, 15)
    ]
    return Figure(
        "The smaller the start, the sharper the step, with two layers",
        columns(("network", "start", "mean", "low", "high"), rows),
        "line",
        x="start",
        y="mean",
        color="network",
        band=("low", "high"),
        x_log=True,
        x_title="what is held of the mode at the start",
        y_title="rise time over half time",
        rules=((theory.SHALLOW_SHARPNESS, "ln 9 / ln 2"),),
        note=f"The strongest mode, {top:g}.",
    )
