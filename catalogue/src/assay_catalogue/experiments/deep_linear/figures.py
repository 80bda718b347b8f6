"""The figures of deep-linear."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.deep_linear.method import START
from assay_catalogue.worlds.linear import one_mode as theory

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
            (panel, f"strength {x:g}", float(t), arm.held.sel(strength=x, time=t).values)
            for x in arm.strength.values
            for t in arm.time.values[arm.time.values <= 4]
        ]
    return figure(
        "From one and the same map: step by step, or all at once",
        "line",
        {"network": "facet", "mode": "color", "time": "x", "mean": "mean"},
        rows,
        x_title="time (τ: steps times rate)",
        y_title="what is held of the mode",
    )


def by_start(arms: Arms) -> Figure:
    """Rise time over half time by the start: trained, and as the curves of balanced layers say."""
    rows = []
    for name, panel in NAMES.items():
        for x in sorted(set(arms[name].start.values.tolist())):
            arm = arms[name].isel(run=(arms[name].start == x).values)
            rows.append((panel, x, ((arm.t90 - arm.t10) / arm.t50).isel(strength=0).values))
    top = float(arms["main"].strength[0])
    rows += [
        ("balanced layers, in theory", x, [theory.sharpness(top, x)])
        for x in np.geomspace(1e-3, 0.3, 15).tolist()
    ]
    return figure(
        "The smaller the start, the sharper the step, with two layers",
        "line",
        {"network": "color", "start": "x", "mean": "mean"},
        rows,
        x_log=True,
        x_title="what is held of the mode at the start",
        y_title="rise time over half time",
        rules=((theory.SHALLOW_SHARPNESS, "ln 9 / ln 2"),),
        note=f"The strongest mode, {top:g}.",
    )
