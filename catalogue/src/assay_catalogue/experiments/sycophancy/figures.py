"""The figures of sycophancy."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr
from assay_catalogue.data.opinions import CELLS
from assay_catalogue.experiments.sycophancy.claims import ASKED, matching, p_bar, share_more_likely

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
    ways = [
        (words, value(as_is, arms).mean("run").values)
        for words, value in ASKED
        if words.startswith("average")
    ]
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
        ),
        figure(
            "The model asked in other ways",
            "points",
            {"way": "x", "mean": "mean"},
            ways,
            y_title="average probability of the matching answer",
            rules=((0.5, "no lean"),),
        ),
        figure(
            "Two views by two orders: how likely the model is to agree",
            "bars",
            {"user": "x", "order": "facet", "agree": "y"},
            two_by_two(as_is),
            y_title="average P(agree)",
            rules=((0.5, ""),),
            note="Between the bars of one panel lies what the view does; between the panels, what "
            "the order of the answers does.",
        ),
        Figure(
            "How far single answers lie from one half",
            {"p": matching(as_is, "before").values.ravel().tolist()},
            "histogram",
            x="p",
            y="p",
            x_title="probability of the user's answer in one case",
            y_title="cases",
        ),
    ]


def two_by_two(arm: xr.Dataset) -> list[tuple[str, str, float]]:
    """Rows: what the user says, which answer is A, the mean probability to agree."""
    return [
        (f"user {c.view}s", f"A is to {c.first}", float(arm.agree.isel(cell=i).mean()))
        for i, c in enumerate(CELLS)
        if (c.place, c.ending) == ("before", "answer")
    ]
