"""The figures of end-to-end."""

from __future__ import annotations

from assay.core import Arms, Figure, summary
from assay.core.figures import columns
from assay.experiments.end_to_end.claims import SHOWN, increase, later, of_arm


def figures(arms: Arms) -> list[Figure]:
    """What each dictionary costs the model, and how far off later blocks are."""
    if "main" not in arms:
        return []
    lost, off = [], []
    for name, label in SHOWN.items():
        if name in arms:
            m = {key: x.sum("document").values for key, x in of_arm(arms[name]).items()}
            label = label.replace("{local-double.k}", str(arms[name].attrs["k"]))
            lost.append((label, *summary(increase(m))))
            off.append((label, *summary(later(m))))
    note = "Mean and 95 % t interval over seeds."
    return [
        Figure(
            "What a dictionary in the place of activations costs the model",
            columns(("of", "increase", "low", "high"), lost),
            "bars",
            x="of",
            y="increase",
            band=("low", "high"),
            x_title="",
            y_title="increase of cross-entropy, nats a token",
            note=note,
        ),
        Figure(
            "How far off the inputs of later blocks are",
            columns(("of", "share", "low", "high"), off),
            "bars",
            x="of",
            y="share",
            band=("low", "high"),
            x_title="",
            y_title="share of their variance",
            note=note,
        ),
    ]
