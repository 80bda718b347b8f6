"""The figures of sae-zoo."""

from __future__ import annotations

from assay.core import Arms, Figure
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import FVU
from assay_catalogue.experiments.sae_zoo.claims import CURVE, everywhere, leads

LABELS = {"main": "BatchTopK", "matryoshka": "Matryoshka", "jumprelu": "JumpReLU", "relu": "ReLU"}


def figures(arms: Arms) -> list[Figure]:
    k = int(arms["main"].attrs["k"])
    series = [("TopK", name, FVU) for name in CURVE]
    series += [(label, name, FVU) for name, label in LABELS.items()]
    frontier.lead_rows(
        arms,
        [("BatchTopK", "batch-along"), (f"TopK {k}: how far the frontier bends", "topk-along")],
        everywhere,
        leads,
        "topk-12-along",
        "topk-21-along",
    )
    return [
        frontier.over_l0(
            arms,
            f"What each architecture leaves unexplained near {k} features a token",
            series,
            "points",
            x_title="L0 (features on per token)",
            y_title="FVU",
            note="Mean and 95 % t interval over seeds. Claims read every method against TopK's "
            "frontier at the method's own L0.",
        )
    ]
