"""The figures of s-curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from assay.core import Arms, Figure, by, figure, summary
from assay.core.heavy import xr
from assay_catalogue.experiments.s_curves.claims import several
from assay_catalogue.experiments.s_curves.method import PROMINENCES


def falling(
    title: str,
    panels: Mapping[str, tuple[xr.Dataset, int]],
    log: bool,
    seeds: int = 3,
    where: float | None = None,
) -> Figure:
    """The loss of single seeds, a draw of each, against the step; panels {name: (arm, rank)}."""
    return figure(
        title,
        "line",
        {"panel": "facet", "seed": "color", "step": "x", "y": "y"},
        curves(panels, seeds, where),
        x_log=log,
        x_title="step" + (", log scale" if log else ""),
        y_title="loss, share of the start's",
    )


def dropping(
    title: str, panels: Mapping[str, tuple[xr.Dataset, int]], note: str, seeds: int = 4
) -> Figure:
    """How fast the loss of single seeds falls with the log of the step: what drops are the peaks
    of."""
    rows = curves(
        panels,
        seeds,
        None,
        lambda t, loss: (np.sqrt(t[1:] * t[:-1]), -np.diff(loss) / np.diff(np.log(t))),
    )
    last = max(step for _, _, step, _ in rows)
    late = [row for row in rows if row[2] >= last / 50]  # before, nothing falls
    return figure(
        title,
        "line",
        {"panel": "facet", "seed": "color", "step": "x", "y": "y"},
        late,
        x_log=True,
        note=note,
        x_title="step, log scale",
        y_title="−dL/d ln t, over the start's loss",
    )


def curves(
    panels: Mapping[str, tuple[xr.Dataset, int]],
    seeds: int,
    where: float | None,
    transform: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] = lambda t, loss: (
        t,
        loss,
    ),
) -> list[tuple]:
    """Rows (panel, seed, step, y) of a function of step and loss, for the first draws of the first
    seeds."""
    rows: list[tuple] = []
    for panel, (arm, rank) in panels.items():
        arm = arm.isel(run=arm.replicate == 0)
        if where:
            arm = arm.isel(run=np.isclose(arm.start, where))
        for run in range(min(seeds, arm.sizes["run"])):
            curve = arm.curve.isel(run=run).sel(rank=rank)
            step, y = transform(curve.time.values.astype(float), curve.values)
            rows += [
                (panel, f"seed {int(arm.seed[run])}", *point)
                for point in zip(step.tolist(), y.tolist(), strict=True)
            ]
    return rows


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


def plateaus_seen(arms: Arms) -> Figure:
    """How many seeds drop at least twice, by set-up and by how prominent a drop has to be."""
    sets = {
        "squared error": "small",
        "cross-entropy": "ce",
        "cross-entropy, rows of one sign": "one-sign",
        "cross-entropy, Adam": "ce-adam",
    }
    rows = [
        (
            f"{name}, rank {rank}",
            p,
            tuple(np.clip(summary(several(rank, p)(arms[arm], arms).values), 0, 1)),
        )
        for name, arm in sets.items()
        for rank in arms[arm]["rank"].values.tolist()
        for p in PROMINENCES
    ]
    return figure(
        "Two plateaus need neither cross-entropy nor rank two; how many are seen depends on "
        "how prominent a drop has to be",
        "line",
        {"set-up": "color", "prominence": "x", "mean": "mean"},
        rows,
        x_log=True,
        x_title="least prominence of a drop, share of the fastest",
        y_title="share of seeds whose loss drops at least twice",
    )


def figures(arms: Arms) -> list[Figure]:
    main, ce = arms["main"], arms["ce"]
    ranks = {f"rank {r}": (main, r) for r in main["rank"].values.tolist()}
    entropy = {
        "rank 1, rows of one sign": (arms["one-sign"], 1),
        **{f"rank {r}": (ce, r) for r in ce["rank"].values.tolist()},
    }
    variants = {
        f"{name} cross-entropy" if name != "generalised" else "generalised KL": (
            arms[name],
            arms[name]["rank"].values[0],
        )
        for name in ("raw", "normalised", "generalised")
    }
    start = min(main.start.values.tolist(), key=lambda s: abs(s - 0.3))
    twice = {
        name: float(several(rank, 0.05)(arm, arms).mean()) for name, (arm, rank) in entropy.items()
    }
    note = (
        "A peak is a drop. Share of all seeds with two or more of prominence 0.05: "
        f"{', '.join(f'{name} {x:.2f}' for name, x in twice.items())}. "
    )
    return [
        falling(
            "The lower the rank, the flatter the loss before it falls: squared error from a "
            f"start of {start:g}",
            ranks,
            log=False,
            where=start,
        ),
        falling(
            f"Against the log of the step all look like an S, even full rank: a start of {start:g}",
            ranks,
            log=True,
            where=start,
        ),
        depths(arms),
        dropping(
            "Cross-entropy: many draws of rank 1 fall twice, none if the target's rows all "
            "have one sign",
            entropy,
            note
            + (
                "Drawn from the recorded steps, which are fewer than those that drops are counted "
                "on."
            ),
        ),
        plateaus_seen(arms),
        falling(
            "Without normalising, cross-entropy runs below its value at Z = C (0); "
            "generalised KL does not",
            variants,
            log=True,
        ),
    ]
