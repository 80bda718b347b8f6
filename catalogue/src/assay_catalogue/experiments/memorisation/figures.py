"""The figures of memorisation."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.memorisation.claims import MODELS
from assay_catalogue.worlds.memory.closed import one_of
from assay_catalogue.worlds.memory.corpus import COPIES, SYMBOLS

NAMES = {"main": "network", "softmax": "softmax table", "count": "counting"}
RUNS = 6
"""Runs of which documents are shown one by one."""
BY_COPIES = {1: "unique", **{k: f"{k} copies" for k in COPIES}}


def drawings(arms: Arms) -> list[Figure]:
    return [by_copies(arms), spectrum(arms), in_and_out(arms["main"])]


def by_copies(arms: Arms) -> Figure:
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
    return figure(
        "The more copies, the less each shows, and the more all of them cost",
        "line",
        {"model": "facet", "removed": "color", "copies": "x", "mean": "mean"},
        rows,
        x_log=True,
        x_title="near-duplicates in the corpus",
        y_title="loss that removing costs (nats per token)",
        note="The formula knows no edits: each copy's own edited token is unique, and is memorised "
        "by itself.",
    )


def spectrum(arms: Arms) -> Figure:
    """Share of a family's damage that each selector does, against its cost."""
    labels = {"32 copies": "32 copies", "topic": "topic", "mixed 1": "both, exchanged by lot"}
    rows = []
    for name in MODELS:
        arm: xr.Dataset = arms[name]
        for index, rung in enumerate(arm.rung.values.tolist()):
            label = labels.get(rung.split(":")[0])
            if label:
                rows.append(
                    (
                        NAMES[name],
                        label,
                        float(arm.bits[:, index].mean()),
                        arm.share[:, index].values,
                    )
                )
    return figure(
        "What removing by a selector costs, as a share of what removing the family costs",
        "points",
        {"model": "facet", "family": "color", "bits": "x", "mean": "mean"},
        rows,
        x_log=True,
        x_title="cost of the selector (bits)",
        y_title="share of the family's damage",
        rules=((0.5, "half"),),
    )


def in_and_out(main: xr.Dataset) -> Figure:
    """Each shown document of the first runs: its loss with and without it in the training set."""
    first = main.isel(run=slice(RUNS))
    kinds = [str(name).rsplit(" ", 1)[0] for name in first.shown.values] * first.sizes["run"]
    losses = (first[name].values.ravel().tolist() for name in ("loss_out", "loss_in"))
    rows = list(zip(kinds, *losses, strict=True))
    return figure(
        "Documents by their loss when trained on and when not",
        "points",
        {"kind": "color", "without": "x", "with": "y"},
        rows,
        x_title="loss of networks trained without it (nats per token)",
        y_title="loss of networks trained with it (nats per token)",
    )
