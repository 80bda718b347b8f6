"""The figures of gated-sae."""

from __future__ import annotations

from typing import Any

from assay.core import Arms, Figure
from assay.features import card
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import FVU


def figures(arms: Arms) -> list[Figure]:
    lines = [
        ("Gated 1 ×", "main", FVU),
        ("ReLU 1 ×", "relu", FVU),
        ("TopK 1 ×", "topk", FVU),
        ("ReLU 1.5 ×", "wide", FVU),
        ("ReLU 1.5 × + rescale & shift", "wide-rescaled", FVU),
    ]
    return [
        frontier.over_l0(
            arms,
            "Frontier: what each method leaves unexplained",
            lines,
            "joined",
            x_title="L0 (features per token)",
            y_title="FVU",
            note="Mean and 95 % t interval over seeds; the claims resample seeds and documents. "
            "At another method's L0 Gated is read off its line.",
        )
    ]


def feature_cards(arms: Arms) -> list[Any]:
    if "showcase" not in arms:
        return []
    s = arms["showcase"].attrs
    return card.cards(
        arms["showcase"], seed=0, source=f"{s['subject']}/{s['layer']}-resid_pre-topk{s['width']}"
    )
