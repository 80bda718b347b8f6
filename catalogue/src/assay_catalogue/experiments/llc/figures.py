"""The figures of llc."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.analysis.chains import CHECKS
from assay_catalogue.experiments.llc.claims import BY_RANK, DEGENERATE, NETWORKS, cells_of


def estimates_figure(arms: Arms) -> Figure:
    """Each network's estimate, and other numbers that one might take for its learning coefficient,
    over λ."""
    points = []
    for name in (*NETWORKS, DEGENERATE):
        main, held = (
            arm.isel(run=arm.potential.values == name) for arm in (arms["main"], arms["localised"])
        )
        first = main.isel(run=0)
        numbers = {
            "estimate": main.estimate.mean(),
            "under a strong pull": held.estimate.mean(),
            "half the weights": first.half_weights,
            "half the Hessian's rank": first.half_rank,
        }
        points += [
            (float(first.coefficient), kind, float(x / first.coefficient))
            for kind, x in numbers.items()
        ]
    title = "Chains find λ; counts of weights never do, of curvatures at two of ten"
    return figure(
        title,
        "points",
        {"λ": "x", "number": "color", "over λ": "y"},
        points,
        x_title="learning coefficient λ of ten linear networks",
        y_title="estimate or count over λ",
        rules=((1.0, "λ"),),
    )


def trace_figure(arms: Arms) -> Figure:
    """The mean excess loss along the chains at 5-3-4, for the truths of each rank."""
    arm = arms["main"]
    points = []
    for rank, name in enumerate(BY_RANK):
        for i, step in enumerate(arm.step.values):
            values = arm.trace.values[arm.potential.values == name, i]
            points.append((f"rank {rank}", int(step), values))
    return figure(
        "Excess losses settle within 2,000 steps, in order of the rank",
        "line",
        {"truth": "color", "step": "x", "mean": "mean"},
        points,
        x_title="steps of the chain",
        y_title="n_beta times excess loss, means of blocks",
    )


def grid_figure(arms: Arms) -> Figure:
    """The estimate over λ in every cell of the grid."""
    estimates, _ = cells_of(arms)
    ratio = estimates.mean("seed") / float(arms["grid"].coefficient[0])
    points = [
        (f"localisation {gamma:g}", float(lr), float(ratio.sel(lr=lr, localisation=gamma)))
        for gamma in ratio.localisation.values
        for lr in ratio.lr.values
    ]
    title = (
        "Strong localisation pulls below λ at every step, a large step pushes above: 5-3-4, rank 1"
    )
    return figure(
        title,
        "line",
        {"localisation": "color", "lr": "x", "over λ": "y"},
        points,
        x_log=True,
        x_title="step lr",
        y_title="mean estimate over λ",
        rules=((1.0, "λ"),),
    )


def checks_figure(arms: Arms) -> Figure:
    """The share of runs that fail each check, arm by arm."""
    points = [
        (name, check, float(arms[name].failed.sel(check=check).mean()))
        for name in ("main", "singular", "localised", "coarse", "faulty")
        for check in CHECKS
    ]
    return figure(
        "Checks find what is broken, not what is merely wrong",
        "bars",
        {"arm": "x", "check": "color", "share": "y"},
        points,
        x_title="arm",
        y_title="share of runs that fail the check",
    )
