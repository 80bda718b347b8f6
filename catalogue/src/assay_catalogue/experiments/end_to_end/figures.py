"""The figures of end-to-end."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.end_to_end.claims import SHOWN, increase, later, of_arm


def figures(arms: Arms) -> list[Figure]:
    """What each dictionary costs the model, and how far off later blocks are."""
    if "main" not in arms:
        return []
    lost, off = [], []
    for name, label in SHOWN.items():
        if name in arms:
            m = {key: x.sum("document").values for key, x in of_arm(arms[name]).items()}
            label = label.replace("{local-double.k}", str(arms[name].attrs["k"]))
            lost.append((label, increase(m)))
            off.append((label, later(m)))
    note = "Mean and 95 % t interval over seeds."
    return [
        figure(
            "What a dictionary in the place of activations costs the model",
            "bars",
            {"of": "x", "increase": "mean"},
            lost,
            y_title="increase of cross-entropy, nats a token",
            note=note,
        )
    ]
