"""The figures of clt-faithful."""

from __future__ import annotations

from assay.core import Arms, Figure, by, by_level, figure

ARMS = {
    "main": "cross-layer",
    "summed": "cross-layer, rows paid one by one",
    "plt": "per-layer",
    "exchanged": "cross-layer, first hop exchanged",
}
"""Whose sweeps are drawn, and what they are called."""


def figures(arms: Arms) -> list[Figure]:
    """How far responses go astray along the penalty."""
    rows = [
        (p, values, label)
        for arm, label in ARMS.items()
        for p, values in by_level(by(arms[arm], "penalty").astray, "penalty")
        if p > 0
    ]
    return [
        figure(
            "How far the replacement's response to an exchanged first hop is from the model's",
            "line",
            {"penalty": "x", "mean": "mean", "dictionary": "color"},
            rows,
            x_log=True,
            x_title="λ",
            y_title="answers away",
            rules=((1.0, "no response at all"),),
            note="Mean and 95 % t interval over seeds. The circuit's own dictionary is at 0.",
        )
    ]
