"""The figures of dictionary-weights."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, by, by_level, figure
from assay_catalogue.experiments.dictionary_weights.claims import READ
from assay_catalogue.experiments.dictionary_weights.method import EDGES

CURVES = {
    "main": "learned",
    "frozen-decoder": "frozen decoder",
    "soft-frozen": "soft-frozen decoder",
    "untrained": "untrained model",
    "shuffled": "independent neurons",
    "random": "random rows",
    "planted": "planted columns",
}


def figures(arms: Arms) -> list[Figure]:
    labels = {name: label for name, label in CURVES.items() if name in arms}
    slices = [
        figure(
            title,
            "line",
            {"arm": "color", "share": "x", "held": "y"},
            slice_curves(arms, labels, measure),
            x_title=x_title,
            y_title="share of its squared length in the largest of them",
            note=note,
        )
        for title, measure, x_title, note in (
            (
                "Read by feature: how few neurons carry a row",
                "row_curve",
                "share of neurons, largest first",
                (
                    "Mean over live features and seeds, the largest quarter. Entries of one size "
                    "would give a straight line to a quarter."
                ),
            ),
            (
                "Read by neuron: how few features carry a column",
                "column_curve",
                "share of features, largest first",
                "Mean over neurons and seeds, rows at length 1, live features only.",
            ),
        )
    ]
    few = figure(
        "How many neurons a feature needs for nine tenths of its length",
        "line",
        {"arm": "color", "neurons": "x", "share": "y"},
        histogram(arms, labels),
        x_log=True,
        x_title="neurons for 90 % of the squared length",
        y_title="share of live features",
        rules=((10.0, "10"),),
    )
    rows = [
        (label, kind, by(arms[name])[measure].values)
        for name, label in labels.items()
        for kind, measure in (
            ("neurons for a feature", "row_k90_median"),
            ("features for a neuron, by use", "use_k90_median"),
        )
    ]
    both = figure(
        "Both slicings beside their controls",
        "bars",
        {"arm": "x", "slice": "facet", "median": "mean"},
        rows,
        y_title="median number for 90 %",
        note="Mean and 95 % t interval over seeds.",
    )
    readability = figure(
        "How well a rule on tokens tells a feature, and a neuron that fires as often",
        "bars",
        {"arm": "x", "what": "color", "told": "mean"},
        [
            (label, kind, by(arms[name])[measure].values)
            for name, label in READ.items()
            if name in arms
            for kind, measure in (("feature", "told"), ("neuron", "told_neurons"))
        ],
        y_title="balanced accuracy on fresh contexts of 32 tokens",
        rules=((0.5, "chance"),),
        note="Mean and 95 % t interval over seeds.",
    )
    return [*slices, few, both, readability]


def slice_curves(arms: Arms, labels: dict[str, str], measure: str) -> list[tuple]:
    """Rows: the mean cumulative share over seeds at each rank."""
    rows = []
    for name, label in labels.items():
        held = by(arms[name])[measure].mean("seed")
        rows += [(label, rank, float(x)) for rank, [x] in by_level(held, "rank")]
    return rows


def histogram(arms: Arms, labels: dict[str, str]) -> list[tuple]:
    """Rows: the share of live features of all seeds in each bin of how many neurons they
    need."""
    rows = []
    for name, label in labels.items():
        counts = by(arms[name]).row_counts.sum("seed").values
        rows += [
            (label, float(np.sqrt(a * b)), float(c / counts.sum()))
            for a, b, c in zip(EDGES, EDGES[1:], counts, strict=False)
        ]
    return rows
