"""The figures of path-split."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.path_split.claims import SMOLLM2, OnDisk
from assay_catalogue.experiments.path_split.values import effects, ratio_of_halves, share, swept

CURVES = {
    "main": "two blocks",
    "sorted-halves": "one block, sorted",
    "random-halves": "two blocks, parted at random",
    "turned": "metrics turned",
    "soft-frozen": "decoder kept near random rows",
    "untrained": "untrained models",
}


def figures(arms: Arms) -> list[Figure]:
    """Direct share by block; how far halves are parted against what it costs."""
    return [
        *([by_block(arms, SMOLLM2)] if "smollm2" in arms else []),
        *([against_cost(arms)] if "main" in arms else []),
    ]


def by_block(arms: Arms, model: OnDisk) -> Figure:
    """Direct share of every inner block of a model on disk."""
    rows = []
    for label, name, kind in (
        (model.name, model.arm, "principal"),
        ("random directions", model.arm, "random"),
        ("untrained", f"{model.prefix}untrained", "principal"),
    ):
        if name in arms:
            terms = {path: x.values for path, x in effects(kind)(arms[name], arms).items()}
            rows += [
                (block, values, label) for block, values in enumerate(share(terms))
            ]  # [block, document]
    return figure(
        f"How far the MLPs of {model.name} act directly on the logits",
        "line",
        {"block": "x", "share": "mean", "of": "color"},
        rows,
        x_title="block",
        y_title="direct share of squared effects",
        note="Mean and 95 % t interval over documents; in the last block, left out, it is 1.",
    )


def against_cost(arms: Arms) -> Figure:
    """The ratio of ratios along the sweep of prices, over FVU beside that without a price."""
    rows = []
    for name, label in CURVES.items():
        if name not in arms:
            continue
        terms = {key: x.sum("document").values for key, x in swept(arms[name]).items()}
        fvu, parted = terms["error"] / terms["variance"], np.exp(ratio_of_halves(terms))
        for i in range(fvu.shape[1]):
            rows.append((float(np.mean(fvu[:, i] / fvu[:, 0])), parted[:, i], label))
    return figure(
        "How far two halves of a dictionary are parted by path, and what it costs",
        "line",
        {"fvu": "x", "ratio": "mean", "of": "color"},
        rows,
        y_log=True,
        rules=((2.0, "claimed"),),
        x_title="FVU over that without a price",
        y_title="direct ÷ indirect, one half over the other",
        note="Mean and 95 % t interval over seeds.",
    )
