"""The figures of autointerp-io."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.autointerp_io.claims import SIDES, average

TOLD = {
    "detection": "detection: contexts of 32 tokens",
    "fuzzing": "fuzzing: places in a context",
    "auroc": "AUROC: every token",
    "logits": "AUROC: the feature's logit weights",
}
ARMS = {
    "main": "all learned",
    "soft-frozen": "decoder near its start",
    "frozen-decoder": "decoder frozen",
    "frozen-encoder": "encoder frozen",
    "untrained": "model untrained",
}


def figures(arms: Arms) -> list[Figure]:
    """Who is told, by which side, and on one token."""
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
    who = figure(
        "Whose firings a rule on inputs tells",
        "bars",
        {"explained": "x", "mean": "mean"},
        rows,
        y_title="balanced accuracy of detection",
        rules=((0.5, "chance"),),
        note="Contexts of 32 tokens from files that no explanation saw; mean and 95 % t interval "
        "over seeds.",
    )
    sides = [
        (what, side, average(data, f"{name}_{suffix}").values)
        for name, what in TOLD.items()
        for suffix, side in SIDES.items()
        if f"{name}_{suffix}" in data
    ]
    score = figure(
        "Explanations from inputs, from outputs and from both",
        "bars",
        {"score": "facet", "explained by": "x", "mean": "mean"},
        sides,
        y_title="chance .5",
        note="Of promoted tokens the logit weights are the highest by definition, which is not "
        "shown.",
    )
    score = replace(score, color="explained by")  # on the axis as well
    before, after = data.given_before.values.ravel(), data.given_next.values.ravel()
    known = np.isfinite(before)
    points = Figure(
        "Where the current token leaves firing open: what came before, and what comes next",
        {"before": before[known].tolist(), "next": after[known].tolist()},
        "points",
        x="before",
        y="next",
        x_title="AUROC of a rule on earlier tokens",
        y_title="AUROC of a promoted token next",
        note=f"One point for each feature, on one token of its own; {data.attrs['names']} tokens "
        "named on either side.",
    )
    return [who, score, points]
