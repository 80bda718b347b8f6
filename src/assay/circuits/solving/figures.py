"""The figures of an entry: what each explanation reaches, and how sure models are of the right
answer at each position."""

from __future__ import annotations

import numpy as np

from assay.circuits.solving.statements import GOOD
from assay.core.experiment import Arms
from assay.core.figures import Figure, columns, summary

TRAINED = {"main": "trained", "shuffled-answers": "answers of other inputs"}


def draw_figures(arms: Arms) -> list[Figure]:
    """Draw both, with t intervals over models."""
    main = arms["main"]
    rows = [
        (kind, name, *summary(values.sel(explanation=kind).values))
        for kind in map(str, main.explanation.values)
        for name, values in (
            ("quality", main.quality),
            ("least of E1 to E4", main.reached.isel(part=slice(4)).min("part")),
        )
    ]
    where = [p for p in main.position.values if not np.isnan(main.right.sel(position=p)).all()]
    right = [
        (label, int(p), *summary(arms[name].right.sel(position=p).values))
        for name, label in TRAINED.items()
        for p in where
    ]
    return [
        Figure(
            "What each explanation of the same models reaches",
            columns(("explanation", "what", "mean", "low", "high"), rows),
            "bars",
            x="explanation",
            y="mean",
            color="what",
            band=("low", "high"),
            y_title="share of 1",
            rules=((GOOD, "quality asked for"),),
        ),
        Figure(
            "How often models are right, position by position",
            columns(("training", "position", "mean", "low", "high"), right),
            "points" if len(where) < 3 else "line",
            x="position",
            y="mean",
            color="training",
            band=("low", "high"),
            x_title="position",
            y_title="share of right answers",
        ),
    ]
