"""The figures of sycophancy."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.sycophancy.claims import p_bar, share_more_likely

MODELS = {
    "as-is": "as it is",
    "none": "planted .5",
    "q58": "planted .58",
    "q70": "planted .7",
    "q90": "planted .9",
}


def figures(arms: Arms) -> list[Figure]:
    statistics = {"average probability": p_bar(), "share of cases": share_more_likely()}
    both = [
        (label, statistic, value(arms[name], arms).mean("run").values)
        for name, label in MODELS.items()
        for statistic, value in statistics.items()
    ]
    as_is = arms["as-is"]
    return [
        figure(
            "The user's answer: average probability, and share of cases in which it is the "
            "likelier one",
            "points",
            {"model": "x", "statistic": "color", "mean": "mean"},
            both,
            y_title="probability, or share of cases",
            rules=((0.5, "no lean"),),
            note=f"Mean and 95 % t interval over {as_is.sizes['family']} families of questions.",
        )
    ]
