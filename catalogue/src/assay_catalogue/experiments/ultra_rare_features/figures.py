"""The figures of ultra-rare-features."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, figure
from assay_catalogue.features.training_measures import BINS


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


def densities(arms: Arms) -> list[tuple]:
    """Rows: how many of main's latents have which density at a quarter of training and at its
    end, means over runs."""
    data, middle = arms["main"].histogram.mean("run").values, (BINS[1:] + BINS[:-1]) / 2
    names = [f"step {int(arms['main'].step.values[i]):,}" for i in (0, -1)]
    return [
        (x, float(n), name)
        for name, counts in zip(names, data, strict=True)
        for x, n in zip(middle, counts, strict=True)
    ]


def latent_points(arms: Arms) -> list[tuple]:
    """Rows: encoder-decoder cosine and end density of single latents of main's first run."""
    run = arms["main"].isel(run=0)
    return [
        (density, cosine, kind)
        for kind in ("rare", "uncommon", "ordinary", "useful")
        for density, cosine in zip(
            10 ** run.ends.sel(kind=kind).values, run.cosines.sel(kind=kind).values, strict=True
        )
        if not np.isnan(density)
    ]


def together(arms: Arms) -> list[tuple]:
    """Rows: synergy over what ordinary firings save, of the rare latents, of dead weight and of
    planted pairs."""
    main = arms["main"]
    shares = {"rare latents": "rare", "dead weight": "dead-weight", "planted pairs": "pair"}
    return [
        (label, (main.synergy / main.saved).sel(kind=kind).values) for label, kind in shares.items()
    ]


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
        ),
        figure(
            "How often main's latents fire, at a quarter of training and at its end",
            "line",
            {"density": "x", "count": "y", "at": "color"},
            densities(arms),
            x_title="log10 density",
            y_title="latents in a quarter of a decade",
            note="The lowest bin holds all densities below 1e-12.",
        ),
        figure(
            "Encoder against decoder row, and density, of single latents",
            "points",
            {"density": "x", "cosine": "y", "kind": "color"},
            latent_points(arms),
            x_log=True,
            x_title="density at the end of training",
            y_title="cosine of encoder and decoder row",
            note="Main's first run, at most 48 latents of a kind.",
        ),
        figure(
            "What latents save only together, over what as many ordinary firings save",
            "bars",
            {"kind": "x", "mean": "mean"},
            together(arms),
            y_title="share of ordinary savings",
            rules=((0.2, "a conspiracy"),),
        ),
    ]
