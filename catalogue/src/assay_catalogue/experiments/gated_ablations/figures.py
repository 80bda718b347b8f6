"""The figures of gated-ablations."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, by, figure
from assay.core.heavy import xr
from assay_catalogue.dictionaries import frontier
from assay_catalogue.dictionaries.frontier import EARLIER, FVU, GAMMA


def figures(arms: Arms) -> list[Figure]:
    frontiers = [
        ("Gated", "main", FVU),
        ("ReLU 1 ×", "relu", FVU),
        ("ReLU 1.5 ×", "wide", FVU),
        ("… + rescale & shift", "rescaled", FVU),
        ("… + decoder refit", "refit", FVU),
    ]
    ablated = [
        ("Gated", "main", FVU),
        ("no effect", "again", FVU),
        ("unfrozen aux", "unfrozen", FVU),
        ("untied", "untied", FVU),
        ("no r_mag", "no-rmag", FVU),
        ("no Heaviside", "no-heaviside", FVU),
    ]
    metrics = [
        ("Gated: γ", "main", GAMMA),
        ("Gated: earlier form", "main", EARLIER),
        ("ReLU 1.5 ×: γ", "wide", GAMMA),
        ("ReLU 1.5 ×: earlier form", "wide", EARLIER),
    ]
    note = "Mean and 95 % t interval over seeds, each with a world of its own."
    x_title = "L0 (features on per input)"
    charts = [
        *(
            frontier.over_l0(arms, title, series, x_title=x_title, y_title="FVU", note=note)
            for title, series in (
                ("Frontier: the gate against width and repairs", frontiers),
                ("What each part of Gated is worth", ablated),
            )
        ),
        frontier.over_l0(
            arms,
            "Same dictionaries, two metrics: γ and its earlier form",
            metrics,
            x_title=x_title,
            y_title="γ",
            rules=((1.0, "unbiased"),),
            note=note,
        ),
        figure(
            "What a repair can mend, in superposition and without",
            "bars",
            {"arm": "x", "world": "facet", "mean": "mean"},
            stages(arms),
            y_title="FVU over that of ReLU",
            note="L0 is 4.7 for Gated and 5.0 for the 1.5 times wider ReLU; about 0.5 in the "
            "orthonormal world.",
        ),
    ]
    if "l0" in arms.get("no-aux", {}):
        charts.append(
            frontier.history(
                arms,
                "Without the auxiliary loss the gate shuts",
                ("main", "no-aux"),
                "l0",
                x_log=True,
                y_log=True,
                y_title="L0 of the training batches",
                note="Both at λ .65.",
            )
        )
    if "gate_on" in arms["main"]:
        charts.append(
            figure(
                "The gate's input of one latent, where its feature is on and where it is off",
                "line",
                {"feature": "color", "pre": "x", "share": "y"},
                gate_inputs(arms["main"]),
                x_title="π_gate of the latent that best matches a feature",
                y_title="share of inputs in the bin",
                y_log=True,
                note="Gated at its middle penalty, first seed; the latent is on to the right of 0.",
            )
        )
    return charts


def stages(arms: Arms) -> list[tuple]:
    """Rows: FVU of ReLU, its repairs and Gated where L0 is about 5 (0.5 in the orthonormal
    world), as a share of ReLU's."""
    worlds = {
        "superposition": (
            ("ReLU", "wide", 0.5),
            ("… + rescale & shift", "rescaled", 0.5),
            ("… + refit", "refit", 0.5),
            ("Gated", "main", 0.65),
        ),
        "orthonormal": (
            ("ReLU", "orthonormal-relu", 0.5),
            ("… + rescale & shift", "orthonormal-rescaled", 0.5),
            ("Gated", "orthonormal-gated", 0.4),
        ),
    }
    rows = []
    for world, parts in worlds.items():
        present = [
            (label, fvus(arms[name], penalty)) for label, name, penalty in parts if name in arms
        ]
        rows += [(label, world, values / present[0][1]) for label, values in present]
    return rows


def fvus(arm: xr.Dataset, penalty: float) -> np.ndarray:
    """[seed]: FVU at one penalty."""
    total = by(arm, "penalty").sum("document")
    return (total.error / total.variance).sel(penalty=penalty).values


def gate_inputs(arm: xr.Dataset) -> list[tuple]:
    """Rows: the histogram of π_gate of one latent, split by whether its feature is on; bins
    without an input are left out."""
    run = by(arm, "penalty").isel(seed=0)
    run = run.isel(penalty=run.sizes["penalty"] // 2)
    return [
        (when, centre, count / float(counts.sum()))
        for when, counts in (("on", run.gate_on), ("off", run.gate_off))
        for centre, count in zip(run.bin.values.tolist(), counts.values.tolist(), strict=True)
        if count
    ]
