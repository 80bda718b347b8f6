"""The figures of glitch-tokens."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, figure, summary
from assay_catalogue.experiments.glitch_tokens.claims import OF

SHOWN = {
    "main": "untied, weight decay",
    "untied-free": "untied, none",
    "tied": "tied, weight decay",
    "wide-start": "untied, none, wide start",
}


def figures(arms: Arms) -> list[Figure]:
    return [
        figure(
            "Indicators of planted tokens by how often they were seen",
            "line",
            {"arm": "facet", "seen": "x", "mean": "mean"},
            levels(arms),
            x_title="times seen (never at 0.5)",
            x_log=True,
            y_log=True,
            y_title="indicator, ordinary = 1",
            rules=((1.0, "ordinary tokens"),),
            note="The indicator named beforehand for each kind of model: mean over tokens, "
            "geometric mean and 95 % t interval over seeds.",
        )
    ]


def place_group(group: str) -> float:
    """Where a group stands on a logarithmic axis."""
    return {"never": 0.5, "rare": 2000.0, "quiet": 4000.0}.get(group) or float(group)


def levels(arms: Arms) -> list[tuple]:
    """Rows: the indicator of each group of planted tokens, in units of ordinary ones."""
    rows: list[tuple] = []
    for name, label in SHOWN.items():
        if name in arms:
            level = arms[name].level.sel(indicator=OF.get(name, "E_in norm"))
            planted = [group for group in level.group.values.tolist() if group != "ordinary"]
            ratio = np.log(level / level.sel(group="ordinary"))
            rows += [
                (label, place_group(g), tuple(np.exp(summary(ratio.sel(group=g).values)).tolist()))
                for g in planted
            ]
    return rows
