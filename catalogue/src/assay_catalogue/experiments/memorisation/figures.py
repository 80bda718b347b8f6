"""The figures of memorisation."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.memorisation.claims import MODELS
from assay_catalogue.worlds.memory.closed import one_of
from assay_catalogue.worlds.memory.corpus import COPIES, SYMBOLS

NAMES = {"main": "network", "softmax": "softmax table", "count": "counting"}
BY_COPIES = {1: "unique", **{k: f"{k} copies" for k in COPIES}}


def drawings(arms: Arms) -> list[Figure]:
    """What one copy shows, and what all cost, along the number of copies."""
    rows = []
    for name in MODELS:
        for what, label in (("memorised", "one removed"), ("group", "all removed")):
            for k, kind in BY_COPIES.items():
                values = (
                    arms[name][what].sel(kind="once" if what == "group" and k == 1 else kind).values
                )
                rows.append((NAMES[name], label, k, values))
    rate, alpha = arms["count"].attrs["rate"], arms["count"].attrs["alpha"]
    rows += [
        (
            "counting",
            "one removed, formula for exact copies",
            k,
            (one_of(k, rate, alpha, SYMBOLS), None, None),
        )
        for k in BY_COPIES
    ]
    return [
        figure(
            "The more copies, the less each shows, and the more all of them cost",
            "line",
            {"model": "facet", "removed": "color", "copies": "x", "mean": "mean"},
            rows,
            x_log=True,
            x_title="near-duplicates in the corpus",
            y_title="loss that removing costs (nats per token)",
            note="The formula knows no edits: each copy's own edited token is unique, and is "
            "memorised by itself.",
        )
    ]
