"""The figures of clt-faithful."""

from __future__ import annotations

from typing import Any

from assay.core import Arms, Figure, by, by_level, figure

ARMS = {
    "main": "cross-layer",
    "summed": "cross-layer, rows paid one by one",
    "plt": "per-layer",
    "exchanged": "cross-layer, first hop exchanged",
}
"""Whose sweeps are drawn, and what they are called."""


def figures(arms: Arms) -> list[Figure]:
    """Who is credited with the second hop, and how far responses go astray, along the penalty."""
    begun = {"from-faithful": "begun at the faithful one", "main": "begun at random"}

    def over_penalties(
        title: str, name: str, labels: dict[str, str], y_title: str, **options: Any
    ) -> Figure:
        return figure(
            title,
            "line",
            {"penalty": "x", "mean": "mean", "dictionary": "color"},
            [
                (p, values, label)
                for arm, label in labels.items()
                for p, values in by_level(by(arms[arm], "penalty")[name], "penalty")
                if p > 0
            ],
            x_log=True,
            x_title="λ",
            y_title=y_title,
            note="Mean and 95 % t interval over seeds. The circuit's own dictionary is at 0.",
            **options,
        )

    written = "share written by first-layer features"
    crossing = {k: v for k, v in ARMS.items() if k != "plt"}
    return [
        over_penalties(
            "How far the replacement's response to an exchanged first hop is from the model's",
            "astray",
            ARMS,
            "answers away",
            rules=((1.0, "no response at all"),),
        ),
        over_penalties("Who is credited with the second hop", "credited", crossing, written),
        over_penalties("Sparsity moves the faithful dictionary", "credited", begun, written),
    ]
