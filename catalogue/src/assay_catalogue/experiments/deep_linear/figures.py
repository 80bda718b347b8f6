"""The figures of deep-linear."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.deep_linear.method import START

NAMES = {
    "main": "two layers",
    "shallow": "one layer, same map",
    "lopsided": "two layers, same map, split unevenly",
}


def figures(arms: Arms) -> list[Figure]:
    """What is held of each mode along time, means over seeds: trained, in three panels."""
    rows = []
    for name, panel in NAMES.items():
        arm = arms[name].isel(run=(arms[name].start == START).values)
        rows += [
            (panel, f"strength {x:g}", float(t), arm.held.sel(strength=x, time=t).values)
            for x in arm.strength.values
            for t in arm.time.values[arm.time.values <= 4]
        ]
    return [
        figure(
            "From one and the same map: step by step, or all at once",
            "line",
            {"network": "facet", "mode": "color", "time": "x", "mean": "mean"},
            rows,
            x_title="time (τ: steps times rate)",
            y_title="what is held of the mode",
        )
    ]
