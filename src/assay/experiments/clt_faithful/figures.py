"""The figures of clt-faithful."""

from __future__ import annotations

from assay.core import Arms
from assay.core.figures import Figure, columns, summary
from assay.core.measures import by

ARMS = {
    "main": "cross-layer",
    "summed": "cross-layer, rows paid one by one",
    "plt": "per-layer",
    "exchanged": "cross-layer, first hop exchanged",
}
"""Whose sweeps are drawn, and what they are called."""


def over_penalties(arms: Arms, name: str, labels: dict[str, str]) -> dict[str, list]:
    """Columns: a measure along penalties above 0, means over seeds with t intervals."""
    swept = ((label, by(arms[arm], "penalty")[name]) for arm, label in labels.items())
    return columns(
        ("penalty", "mean", "low", "high", "dictionary"),
        (
            (float(p), *summary(values.sel(penalty=p).values), label)
            for label, values in swept
            for p in values.penalty.values
            if p > 0
        ),
    )


def figures(arms: Arms) -> list[Figure]:
    """Who is credited with the second hop, and how far responses go astray, along the penalty."""
    begun = {"from-faithful": "begun at the faithful one", "main": "begun at random"}
    note = "Mean and 95 % t interval over seeds. The circuit's own dictionary is at 0."
    axes = {
        "x": "penalty",
        "y": "mean",
        "color": "dictionary",
        "band": ("low", "high"),
        "x_log": True,
        "x_title": "λ",
        "note": note,
    }
    return [
        Figure(
            "How far the replacement's response to an exchanged first hop is from the model's",
            over_penalties(arms, "astray", ARMS),
            "line",
            y_title="answers away",
            rules=((1.0, "no response at all"),),
            **axes,
        ),
        Figure(
            "Who is credited with the second hop",
            over_penalties(arms, "credited", {k: v for k, v in ARMS.items() if k != "plt"}),
            "line",
            y_title="share written by first-layer features",
            **axes,
        ),
        Figure(
            "Sparsity moves the faithful dictionary",
            over_penalties(arms, "credited", begun),
            "line",
            y_title="share written by first-layer features",
            **axes,
        ),
    ]
