"""The figures of lm-importance."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, by, figure
from assay_catalogue.experiments.lm_importance.claims import KINDS, STRONG, kinds


def figures(arms: Arms) -> list[Figure]:
    main = by(arms["main"]).transpose("seed", "feature", ...)
    strong = main.isel(quarter=STRONG).sum("document")
    per = (strong.change / strong.firings).values
    kind = kinds(arms["main"]).isel(length=0).values
    rows = [
        (
            float(main.density[cell]),
            float(per[cell]),
            KINDS[2 if np.isnan(kind[cell]) else int(kind[cell])],
        )
        for cell in np.ndindex(kind.shape)
    ]
    return [
        figure(
            "How much a feature matters where it fires, and how often it fires",
            "points",
            {"density": "x", "importance": "y", "kind": "color"},
            rows,
            x_log=True,
            x_title="share of tokens on which it fires",
            y_title="nats that a strong firing saves at the next token",
            rules=((0.0, ""),),
            note="Every drawn feature of every dictionary. Of rare ones there are few firings, and "
            "their points scatter most.",
        )
    ]
