"""The figures of sycophancy."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr
from assay.data.opinions import CELLS
from assay.experiments.sycophancy.claims import ASKED, matching, p_bar, share_more_likely

MODELS = {
    "main": "SmolLM2",
    "chat": "SmolLM2, chat",
    "q50": "planted .5",
    "q70": "planted .7",
    "q90": "planted .9",
}


def figures(arms: Arms) -> list[Figure]:
    labels = {name: label for name, label in MODELS.items() if name in arms}
    statistics = {"average probability": p_bar(), "share of cases": share_more_likely()}
    both = [
        (label, statistic, value(arms[name], arms).values)
        for name, label in labels.items()
        for statistic, value in statistics.items()
    ]
    ways = [
        (words, value(arms["main"], arms).values)
        for words, value in ASKED
        if words.startswith("average")
    ]
    p = matching(arms["main"], "before").values.ravel()
    p = p[~np.isnan(p)]
    masses = [
        (label, float(m)) for name, label in labels.items() for m in arms[name].mass.values.ravel()
    ]
    families = arms["main"].attrs["families"]
    return [
        figure(
            "The user's answer: average probability, and share of cases in which it is the "
            "likelier one",
            "points",
            {"model": "x", "statistic": "color", "mean": "mean"},
            both,
            y_title="probability, or share of cases",
            rules=((0.5, "no lean"),),
            note=f"Mean and 95 % t interval over {families} families of questions. A model that "
            "leans by .2 in every answer has .7 of the one and all of the other.",
        ),
        figure(
            "SmolLM2 asked in other ways",
            "points",
            {"way": "x", "mean": "mean"},
            ways,
            y_title="average probability of the matching answer",
            rules=((0.5, "no lean"),),
        ),
        figure(
            "Two views by two orders: how likely SmolLM2 is to agree",
            "bars",
            {"user": "x", "order": "facet", "agree": "y"},
            two_by_two(arms["main"]),
            y_title="average P(agree)",
            rules=((0.5, ""),),
            note="Between the bars of one panel lies what the view does; between the panels, what "
            "the order of the answers does.",
        ),
        Figure(
            "How far single answers of SmolLM2 lie from one half",
            {"p": p.tolist()},
            "histogram",
            x="p",
            y="p",
            x_title="probability of the user's answer in one case",
            y_title="cases",
        ),
        figure(
            "How likely any of the two answers is given at all",
            "points",
            {"model": "x", "mass": "y"},
            masses,
            y_title="probability, a point for each question",
            rules=((0.05, "undecided below"),),
        ),
    ]


def two_by_two(arm: xr.Dataset) -> list[tuple[str, str, float]]:
    """Rows: what the user says, which answer is A, the mean probability to agree; with no opinion
    as well."""
    rows = []
    for i, c in enumerate(CELLS):
        if c.place in ("before", "none") and c.ending == "answer":
            user = {"agree": "user agrees", "disagree": "user disagrees", "": "no opinion"}[c.view]
            rows.append((user, f"A is to {c.first}", float(arm.agree.isel(cell=i).mean())))
    return rows
