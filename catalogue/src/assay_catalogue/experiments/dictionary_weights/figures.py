"""The figures of dictionary-weights."""

from __future__ import annotations

from assay.core import Arms, Figure, by, by_level, figure

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
    return [
        figure(
            "Read by feature: how few neurons carry a row",
            "line",
            {"arm": "color", "share": "x", "held": "y"},
            slice_curves(arms, labels, "row_curve"),
            x_title="share of neurons, largest first",
            y_title="share of its squared length in the largest of them",
            note="Mean over live features and seeds, the largest quarter. Entries of one size "
            "would give a straight line to a quarter.",
        )
    ]


def slice_curves(arms: Arms, labels: dict[str, str], measure: str) -> list[tuple]:
    """Rows: the mean cumulative share over seeds at each rank."""
    rows = []
    for name, label in labels.items():
        held = by(arms[name])[measure].mean("seed")
        rows += [(label, rank, float(x)) for rank, [x] in by_level(held, "rank")]
    return rows
