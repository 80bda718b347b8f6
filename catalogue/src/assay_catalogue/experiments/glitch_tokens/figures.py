"""The figures of glitch-tokens."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, by_level, figure, summary
from assay_catalogue.experiments.glitch_tokens.claims import OF

SHOWN = {
    "main": "untied, weight decay",
    "untied-free": "untied, none",
    "tied": "tied, weight decay",
    "wide-start": "untied, none, wide start",
}


def figures(arms: Arms) -> list[Figure]:
    return [
        figure(
            "Indicators of planted tokens by how often they were seen",
            "line",
            {"arm": "facet", "seen": "x", "mean": "mean"},
            levels(arms),
            x_title="times seen (never at 0.5)",
            x_log=True,
            y_log=True,
            y_title="indicator, ordinary = 1",
            rules=((1.0, "ordinary tokens"),),
            note="The indicator named beforehand for each kind of model: mean over tokens, "
            "geometric mean and 95 % t interval over seeds.",
        ),
        figure(
            "Whether a token can be repeated, by how often it was seen",
            "line",
            {"arm": "color", "seen": "x", "mean": "mean"},
            copied(arms),
            x_title="occurrences in training (0 at 0.5; 2,000: rare ordinary tokens, "
            "4,000: quiet ones)",
            x_log=True,
            y_title="log10 of the median probability after 12 copies",
            note="Mean and 95 % t interval over seeds.",
        ),
        *(
            [
                figure(
                    "SmolLM2: its lowest tokens, and tokens drawn by lot",
                    "points",
                    {"distance": "x", "probability": "y", "token": "color"},
                    on_disk(arms),
                    x_title="cosine distance to reserved tokens that share one row",
                    y_title="probability after 12 copies",
                    y_log=True,
                    note="Copies stand behind a line that announces repetition.",
                )
            ]
            if "on-disk" in arms
            else []
        ),
    ]


def place_group(group: str) -> float:
    """Where a group stands on a logarithmic axis."""
    return {"never": 0.5, "rare": 2000.0, "quiet": 4000.0}.get(group) or float(group)


def levels(arms: Arms) -> list[tuple]:
    """Rows: the indicator of each group of planted tokens, in units of ordinary ones."""
    rows: list[tuple] = []
    for name, label in SHOWN.items():
        if name in arms:
            level = arms[name].level.sel(indicator=OF.get(name, "E_in norm"))
            planted = [group for group in level.group.values.tolist() if group != "ordinary"]
            ratio = np.log(level / level.sel(group="ordinary"))
            rows += [
                (label, place_group(g), tuple(np.exp(summary(ratio.sel(group=g).values)).tolist()))
                for g in planted
            ]
    return rows


def copied(arms: Arms) -> list[tuple]:
    """Rows: the median probability of each group of tokens after copies of themselves."""
    rows: list[tuple] = []
    for name, label in SHOWN.items():
        if name in arms:
            copies = by_level(np.log10(arms[name].copied), "repeated")
            rows += [(label, place_group(group), values) for group, values in copies]
    return rows


def on_disk(arms: Arms) -> list[tuple]:
    """Rows: of each token of the model on disk, its distance to the known unused ones and its
    probability after copies of itself."""
    dataset = arms["on-disk"][["distance_here", "probability"]].isel(run=0)
    datasets = {str(kind): dataset.sel(kind=kind) for kind in dataset.kind.values}
    return [
        (float(d), float(p), kind)
        for kind, x in datasets.items()
        for d, p in zip(x.distance_here, x.probability, strict=True)
    ]
