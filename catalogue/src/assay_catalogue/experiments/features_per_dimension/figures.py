"""The figures of features-per-dimension."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.features_per_dimension.claims import best
from assay_catalogue.experiments.features_per_dimension.method import SCALES


def figures(arms: Arms) -> list[Figure]:
    """Loss over its value at c = 1: tied autoencoders at three densities, and ReLU classifiers
    whose W₂ is divided by c."""
    main, relu = (
        best(arms["main"], "drawn"),
        best(arms["relu"], "loss").sel(scale=[c for c in SCALES if 0.5 <= c <= 2]),
    )
    levels = main.density.values
    lines = {
        f"tied, density {levels[i]:.2g}": main.isel(density=i)
        for i in (0, len(levels) // 2, len(levels) - 2)
    }
    rows = []
    for name, losses in {**lines, "untied ReLU": relu.rename(scale="factor")}.items():
        share = losses / losses.sel(factor=1.0, drop=True)
        rows += [(name, float(c), share.sel(factor=c).values) for c in losses.factor.values]
    return [
        figure(
            "Tied weights have a best size, untied ones do not",
            "line",
            {"model": "color", "scale": "x", "mean": "mean"},
            rows,
            x_log=True,
            y_log=True,
            x_title="factor c on the weights",
            y_title="loss over the loss at c = 1",
            note="Untied: first layer times c, second layer over c.",
        )
    ]
