"""The figures of gated-ablations."""

from __future__ import annotations

from assay.core import Arms, Figure
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import FVU

COMPARED = {
    "Frontier: the gate against width and repairs": [
        ("Gated", "main", FVU),
        ("ReLU 1 ×", "relu", FVU),
        ("ReLU 1.5 ×", "wide", FVU),
        ("… + rescale & shift", "rescaled", FVU),
        ("… + decoder refit", "refit", FVU),
    ],
    "What each part of Gated is worth": [
        ("Gated", "main", FVU),
        ("no effect", "again", FVU),
        ("unfrozen aux", "unfrozen", FVU),
        ("untied", "untied", FVU),
        ("no r_mag", "no-rmag", FVU),
        ("no Heaviside", "no-heaviside", FVU),
    ],
}


def figures(arms: Arms) -> list[Figure]:
    return [
        frontier.over_l0(
            arms,
            title,
            series,
            x_title="L0 (features on per input)",
            y_title="FVU",
            note="Mean and 95 % t interval over seeds, each with a world of its own.",
        )
        for title, series in COMPARED.items()
    ]
