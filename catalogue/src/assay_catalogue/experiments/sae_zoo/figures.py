"""The figures of sae-zoo."""

from __future__ import annotations

from collections.abc import Mapping

from assay.core import Arms, Figure, figure
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import FVU
from assay_catalogue.experiments.sae_zoo.claims import CURVE, everywhere, leads, point

LABELS = {"main": "BatchTopK", "matryoshka": "Matryoshka", "jumprelu": "JumpReLU", "relu": "ReLU"}


def baselines(k: int) -> dict[str, str]:
    """The arms with a part that nobody learned, and what they are called at so many features a
    token."""
    return {
        "topk": f"TopK {k}",
        "frozen-decoder": f"TopK {k}, random decoder",
        "frozen-encoder": f"TopK {k}, random encoder",
        "random": "random features, fitted decoder",
        "pca": f"{k} principal components",
        "shuffled": f"TopK {k}, shuffled coordinates",
        "untrained": f"TopK {k}, random weights",
    }


def figures(arms: Arms) -> list[Figure]:
    k = int(arms["main"].attrs["k"])
    series = [("TopK", name, FVU) for name in CURVE]
    series += [(label, name, FVU) for name, label in LABELS.items()]
    compared = frontier.lead_rows(
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
        ),
        figure(
            "BatchTopK's lead over TopK at equal L0, along length and width",
            "bars",
            {"arm": "facet", "corner": "x", "mean": "mean"},
            compared,
            y_title="FVU below TopK's frontier",
        ),
        figure(
            "What need not be learned, and what there is to learn",
            "bars",
            {"arm": "x", "mean": "mean"},
            levels(arms, baselines(k)),
            y_title="FVU",
            note="Each on its own activations: shuffled and random weights are other data, and "
            "their FVU is of that data.",
        ),
        frontier.history(
            arms,
            "Training loss",
            ("topk", *LABELS),
            y_log=True,
            note="Losses of different methods are different sums; compare shapes.",
        ),
    ]


def levels(arms: Arms, labels: Mapping[str, str]) -> list[tuple]:
    """Rows: FVU of each arm, mean and 95 % t interval over seeds."""
    rows = []
    for name, label in labels.items():
        if name in arms:
            total = {k: v.sum("document").values for k, v in point(arms[name]).items()}
            rows.append((label, FVU(total)))
    return rows
