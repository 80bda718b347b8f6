"""The figures of llc."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.llc.claims import DEGENERATE, NETWORKS, cells_of


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
