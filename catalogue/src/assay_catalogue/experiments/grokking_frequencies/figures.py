"""The figures of grokking-frequencies."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, figure
from assay.core.sizes import in_words
from assay_catalogue.experiments.grokking_frequencies.claims import size_of


def pairs(arms: Arms) -> list[tuple]:
    """Rows: predicted and actual size of each network, and where they would be equal."""
    rows = []
    for name, label in (("confined", "confined"), ("natural", "as they come")):
        predicted, actual = (
            np.exp(arms[name].log_predicted.values),
            np.exp(size_of(arms[name]).values),
        )
        rows += [(*sizes, label) for sizes in zip(predicted.tolist(), actual.tolist(), strict=True)]
    known = [size for *sizes, _ in rows if np.isfinite(sizes).all() for size in sizes]
    equal = np.linspace(min(known), max(known), 25).tolist() if known else []
    return [*rows, *((size, size, "if equal") for size in equal)]


def shares(arms: Arms) -> list[tuple]:
    """Rows: share of networks, or of sampled sets, below a size."""
    rows: list[tuple] = []
    log_sizes = {
        "actual, first pairs": arms["natural"].log_size.isel(part=0),
        "actual, other pairs": arms["natural"].log_size.isel(part=1),
        "predicted by own sets": arms["natural"].log_predicted,
        "predicted by sampled sets": arms["sampled"].log_predicted,
    }
    for which, logs_of in log_sizes.items():
        known = np.sort(np.exp(logs_of.values.ravel()))
        known = known[~np.isnan(known)]
        rows += [(size, (i + 0.5) / len(known), which) for i, size in enumerate(known.tolist())]
    return rows


def figures(arms: Arms) -> list[Figure]:
    in_words(arms["main"].attrs["count"])
    return [
        figure(
            "Distributions of critical sizes: actual, predicted by sampled sets, predicted by "
            "own sets",
            "line",
            {"size": "x", "share": "y", "which": "color"},
            shares(arms),
            x_title="training pairs",
            y_title="share below",
            note=(
                "Actual sizes are those at which networks as they come forget, each on two parts "
                "of its pairs."
            ),
        ),
        figure(
            "Size at which networks forget, against that predicted from their frequencies alone",
            "points",
            {"predicted": "x", "actual": "y", "networks": "color"},
            pairs(arms),
            x_title="predicted, training pairs",
            y_title="actual, training pairs",
            note="A circle or a square is a network, confined to a random set or as it comes. "
            "Predicted from the interference of its set, the memoriser's law and the norm law.",
        ),
    ]
