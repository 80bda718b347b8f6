"""The figures of gated-sae."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.core import Arms, Figure, columns, summary
from assay.dictionaries.measuring import frontier
from assay.dictionaries.measuring.frontier import EARLIER, FVU, GAMMA
from assay.experiments.gated_sae.claims import CORNERS, leads, over
from assay.features import card


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
    axes = {
        "x": "L0",
        "y": "mean",
        "color": "arm",
        "band": ("low", "high"),
        "x_log": True,
        "x_title": "L0 (features per token)",
    }
    note = "Mean and 95 % t interval over seeds; the claims resample seeds and documents."
    charts = [
        Figure(
            "Frontier: what each method leaves unexplained",
            frontier.over_l0(arms, lines),
            "points",
            y_title="FVU",
            note=note,
            **axes,
        ),
        Figure(
            "Leads over 1.5 × ReLU at equal L0, along length and width",
            all_leads(arms),
            "bars",
            x="arm",
            y="mean",
            facet="corner",
            band=("low", "high"),
            x_title="",
            y_title="FVU below it",
            note=note,
        ),
        Figure(
            "Same dictionaries, two metrics: γ and its earlier form",
            frontier.over_l0(arms, metrics),
            "points",
            y_title="γ",
            rules=((1.0, "unbiased"),),
            **axes,
        ),
        Figure(
            "Training loss",
            frontier.history(arms, ("main", "relu", "wide", "topk", "no-aux")),
            "line",
            x="step",
            y="loss",
            color="arm",
            band=("low", "high"),
            x_title="step",
            y_title="loss",
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
                note=(
                    f"{int((density == 0).sum())} of {len(density)} fire on no test token and are "
                    "left out."
                ),
            )
        )
    return charts


def all_leads(arms: Arms) -> dict[str, list]:
    """Columns: the lead of each method over 1.5 × ReLU at every corner, mean and 95 % t interval
    over seeds."""
    rows: list[tuple] = []
    for label, name in (
        ("Gated", "gated-along"),
        ("TopK", "topk-along"),
        ("ReLU 1.5 × + rescale & shift", "rescaled-along"),
    ):
        if {name, "main", "wide-along"} <= set(arms):
            terms = {
                k: v.sum("document").transpose("seed", ...).values
                for k, v in over("wide-along")(arms[name], arms).items()
            }
            rows += [
                (label, corner, *summary(values))
                for corner, values in zip(CORNERS, leads(terms).T, strict=True)
            ]
    return columns(("arm", "corner", "mean", "low", "high"), rows)


def feature_cards(arms: Arms) -> list[Any]:
    if "showcase" not in arms:
        return []
    s = arms["showcase"].attrs
    return card.cards(
        arms["showcase"], seed=0, source=f"{s['subject']}/{s['layer']}-resid_pre-topk{s['width']}"
    )
