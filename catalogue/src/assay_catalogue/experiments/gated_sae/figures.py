"""The figures of gated-sae."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.core import Arms, Figure, figure
from assay.features import card
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import EARLIER, FVU, GAMMA
from assay_catalogue.experiments.gated_sae.claims import leads, over


def figures(arms: Arms) -> list[Figure]:
    lines = [
        ("Gated 1 ×", "main", FVU),
        ("ReLU 1 ×", "relu", FVU),
        ("TopK 1 ×", "topk", FVU),
        ("ReLU 1.5 ×", "wide", FVU),
        ("ReLU 1.5 × + rescale & shift", "wide-rescaled", FVU),
    ]
    metrics = [
        ("Gated: γ", "main", GAMMA),
        ("Gated: earlier form", "main", EARLIER),
        ("ReLU: γ", "relu", GAMMA),
        ("ReLU: earlier form", "relu", EARLIER),
    ]
    note = "Mean and 95 % t interval over seeds; the claims resample seeds and documents."
    x_title = "L0 (features per token)"
    compared = frontier.lead_rows(
        arms,
        [
            ("Gated", "gated-along"),
            ("TopK", "topk-along"),
            ("ReLU 1.5 × + rescale & shift", "rescaled-along"),
        ],
        over("wide-along"),
        leads,
        "main",
        "wide-along",
    )
    charts = [
        frontier.over_l0(
            arms,
            "Frontier: what each method leaves unexplained",
            lines,
            "joined",
            x_title=x_title,
            y_title="FVU",
            note=f"{note} At another method's L0 Gated is read off its line.",
        ),
        figure(
            "Leads over 1.5 × ReLU at equal L0, along length and width",
            "bars",
            {"arm": "x", "corner": "facet", "mean": "mean"},
            compared,
            y_title="FVU below it",
            note=note,
        ),
        frontier.over_l0(
            arms,
            "Same dictionaries, two metrics: γ and its earlier form",
            metrics,
            "points",
            x_title=x_title,
            y_title="γ",
            rules=((1.0, "unbiased"),),
        ),
        frontier.history(
            arms,
            "Training loss",
            ("main", "relu", "wide", "topk", "no-aux"),
            y_log=True,
            note="Losses of different methods are different sums; compare shapes, not heights.",
        ),
    ]
    if "density" in arms.get("showcase", {}):  # a record leaves it out
        density = arms["showcase"].density.values[0]
        charts.append(
            Figure(
                "How often the showcase features fire",
                {
                    "density": np.log10(density[density > 0]).tolist(),
                    "count": [1] * int((density > 0).sum()),
                },
                "histogram",
                x="density",
                y="count",
                x_title="log10 of the share of tokens",
                y_title="features",
                note=f"{int((density == 0).sum())} of {len(density)} fire on no test token and are "
                "left out.",
            )
        )
    return charts


def feature_cards(arms: Arms) -> list[Any]:
    if "showcase" not in arms:
        return []
    s = arms["showcase"].attrs
    return card.cards(
        arms["showcase"], seed=0, source=f"{s['subject']}/{s['layer']}-resid_pre-topk{s['width']}"
    )
