"""The figures of autointerp-io."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.autointerp_io.claims import average

ARMS = {
    "main": "all learned",
    "soft-frozen": "decoder near its start",
    "frozen-decoder": "decoder frozen",
    "frozen-encoder": "encoder frozen",
    "untrained": "model untrained",
}


def figures(arms: Arms) -> list[Figure]:
    """Whose firings a rule on inputs tells."""
    if "main" not in arms:
        return []
    data = arms["main"]
    rows = [
        (what, average(arms[arm], "detection_in").values)
        for arm, what in ARMS.items()
        if arm in arms
    ]
    rows += [
        (what, average(data, name).values)
        for name, what in (
            ("neuron", "neurons"),
            ("direction", "random directions"),
            ("shuffled", "another feature's rule"),
        )
    ]
    return [
        figure(
            "Whose firings a rule on inputs tells",
            "bars",
            {"explained": "x", "mean": "mean"},
            rows,
            y_title="balanced accuracy of detection",
            rules=((0.5, "chance"),),
            note="Contexts of 32 tokens from files that no explanation saw; mean and 95 % t "
            "interval over seeds.",
        )
    ]
