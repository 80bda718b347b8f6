"""The figures of mamba-induction."""

from __future__ import annotations

from assay.core import Arms, Figure, by, by_level, figure
from assay.core.sizes import written

ARMS = {"main": "whole", "frozen": "time-invariant scan", "no-conv": "no convolution"}


def over_rates(arms: Arms) -> list[tuple]:
    """Rows: share of wrong answers at each learning rate, means over seeds with t intervals."""
    return [
        (rate, values, label)
        for arm, label in ARMS.items()
        for rate, values in by_level(by(arms[arm], "lr").error, "lr")
    ]


def figures(arms: Arms) -> list[Figure]:
    """How errors depend on the rate."""
    s = arms["main"].attrs
    return [
        figure(
            "Whole blocks recall best at the middle rate; with a part missing most answers "
            "are wrong",
            "line",
            {"rate": "x", "mean": "mean", "block": "color"},
            over_rates(arms),
            x_title="learning rate",
            y_title="share of wrong answers",
            x_log=True,
            rules=(((s["pairs"] - 1) / s["pairs"], "only the shown values known"),),
            note=f"{written(s['pairs'], 'w pair|pairs').capitalize()} of {s['keys']} keys and "
            f"{s['values']} values; the rate is swept in every arm.",
        )
    ]
