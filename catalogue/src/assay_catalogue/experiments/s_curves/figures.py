"""The figures of s-curves."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, by, figure, summary
from assay.core.heavy import xr


def falling(main: xr.Dataset, seeds: int = 3) -> Figure:
    """The loss of single seeds at each rank, a draw of each, against the step."""
    start = min(main.start.values.tolist(), key=lambda s: abs(s - 0.3))
    arm = main.isel(run=(main.replicate == 0) & np.isclose(main.start, start))
    rows = [
        (f"rank {rank}", f"seed {int(arm.seed[run])}", float(step), float(y))
        for rank in arm["rank"].values.tolist()
        for run in range(min(seeds, arm.sizes["run"]))
        for curve in [arm.curve.isel(run=run).sel(rank=rank)]
        for step, y in zip(curve.time.values, curve.values, strict=True)
    ]
    return figure(
        "The lower the rank, the flatter the loss before it falls: squared error from a "
        f"start of {start:g}",
        "line",
        {"panel": "facet", "seed": "color", "step": "x", "y": "y"},
        rows,
        x_title="step",
        y_title="loss, share of the start's",
    )


def depths(arms: Arms) -> Figure:
    """Plateau depth against the start's scale, a line per rank."""
    main = by(arms["main"], "start")
    rows = [
        (
            f"rank {rank}",
            scale,
            tuple(np.exp(summary(np.log(main.depth.sel(rank=rank, start=scale).values)))),
        )
        for rank in main["rank"].values
        for scale in main.start.values
    ]
    return figure(
        "A larger start and a higher rank make the plateau shallower",
        "line",
        {"rank": "color", "start": "x", "mean": "mean"},
        rows,
        x_log=True,
        y_log=True,
        x_title="standard deviation of the factors' entries at the start",
        y_title="plateau depth, share of the fastest descent",
        rules=((1.0, "no plateau"),),
    )


def figures(arms: Arms) -> list[Figure]:
    return [falling(arms["main"]), depths(arms)]
