"""The figures of ultra-rare-features."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, figure


def along_training(arms: Arms) -> list[tuple]:
    """Rows: density of rare, ordinary and useful latents along training in four arms, means over
    seeds of each quartile."""
    rows: list[tuple] = []
    for arm in ("main", "about-mean", "no-l1", "real"):
        data = arms[arm].quantiles.mean("run")
        for kind in ("rare", "uncommon", "ordinary", "useful"):
            quartiles = zip(data.step.values, 10 ** data.sel(kind=kind).values, strict=True)
            rows += [
                (int(step), (middle, low, high), kind, arm)
                for step, (low, middle, high) in quartiles
                if not np.isnan(middle)
            ]
        guide = 10 ** float(data.sel(kind="rare")[0, 1]) * data.step.values[0] / data.step.values
        rows += [
            (int(step), (value, value, value), "1/t, a guide", arm)
            for step, value in zip(data.step.values, guide, strict=True)
        ]
    return rows


def figures(arms: Arms) -> list[Figure]:
    quartiles = (
        "Medians and quartiles over latents, averaged over seeds on the log scale; chosen at a "
        "quarter of training."
    )
    return [
        figure(
            "Density along training: rare latents that are left alone, beside others",
            "line",
            {"step": "x", "density": "mean", "kind": "color", "arm": "facet"},
            along_training(arms),
            x_log=True,
            y_log=True,
            x_title="training step",
            y_title="density, share of inputs",
            note=quartiles,
        )
    ]
