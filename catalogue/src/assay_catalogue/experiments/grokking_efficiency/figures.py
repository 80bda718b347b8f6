"""The figures of grokking-efficiency."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from assay.core import Arms, Figure, by_level, figure, summary
from assay.core.measures import by
from assay_catalogue.experiments.grokking_efficiency.claims import law, middle


def collect_rows(arms: Arms, labels: Mapping[str, str], measure: str) -> list[tuple]:
    """Rows (size, (mean, low, high), label) of a measure against the size of the training set."""
    rows = []
    for arm, label in labels.items():
        data = by(arms[arm], "pairs")[measure]
        rows += [(size, summary(values), label) for size, values in by_level(data, "pairs")]
    return rows


def efficiency(arms: Arms) -> list[tuple]:
    """Rows of J along sizes: measured, the memorisers' law, the best amplitudes as a level; U50
    upright."""
    rows = collect_rows(arms, {"memorise": "random labels", "generalise": "sums, grokked"}, "cost")
    fitted, data = law(arms["memorise"])
    sizes = np.unique(np.concatenate([data.pairs.values, arms["generalise"].pairs.values]))
    best = summary(arms["main"].best_cost.values)
    for size in sizes.tolist():
        rows += [
            (size, summary(fitted.at(size)), "law of random labels"),
            (size, best, "sums, best amplitudes"),
        ]
    foot = min(row[1][0] for row in rows)
    forgets = summary(middle(arms["ungrok"]).values)[0]
    return rows + [(forgets, (height,) * 3, "← U50, measured") for height in (foot, best[0])]


def figures(arms: Arms) -> list[Figure]:
    return [
        figure(
            "Networks forget near the size at which memorising costs what generalising costs "
            "at best",
            "line",
            {"pairs": "x", "J": "mean", "networks": "color"},
            efficiency(arms),
            x_log=True,
            y_log=True,
            x_title="pairs in the training set",
            y_title="J, nats",
            note="J is cross-entropy plus decayed norm; means over seeds with t intervals. U50 is "
            "where grokked networks forget; from scratch they grok at larger sizes.",
        ),
        figure(
            "To reach an accuracy takes more pairs than to keep it",
            "line",
            {"pairs": "x", "accuracy": "mean", "networks": "color"},
            collect_rows(
                arms,
                {
                    "scratch": "from scratch",
                    "ungrok": "ungrokking",
                    "no-decay": "without weight decay",
                },
                "test",
            ),
            x_title="pairs in the training set",
            y_title="accuracy on unseen pairs",
            rules=((0.5, "a half"),),
            note="Means over seeds with t intervals.",
        ),
    ]
