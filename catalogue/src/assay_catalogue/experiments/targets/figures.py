"""The figures of targets."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, by, figure
from assay_catalogue.experiments.targets.claims import SMOLLM2, OnDisk


def figures(arms: Arms) -> list[Figure]:
    if "main" not in arms:
        return []
    from assay_catalogue.dictionaries.linear_effects import KINDS, SIZES

    data, m, d = by(arms["main"]), arms["main"].attrs["m"], arms["main"].attrs["d"]
    rows = []
    for space, label in SPOKEN.items():
        share = data[f"error_{space}"].sum("document", skipna=False) / data[
            f"variance_{space}"
        ].sum("document")
        known = [
            cell for cell in data.cell.values.tolist() if not share.sel(cell=cell).isnull().all()
        ]
        rows += [(ARROWS[cell], label, share.sel(cell=cell).values) for cell in known]
    unexplained = figure(
        "What each dictionary leaves unexplained, in three spaces",
        "bars",
        {"cell": "x", "space": "facet", "mean": "mean"},
        rows,
        x_title="reads → reconstructs",
        y_title="FVU",
        note="Mean and 95 % t interval over seeds.",
    )
    nu, p = data.null_of_feature.values.ravel().tolist(), 1 - d / m
    features = Figure(
        "How much of each feature of activations nothing reads",
        {"share": nu, "count": [1] * len(nu)},
        "histogram",
        x="share",
        y="count",
        x_title="unread share of a decoder row",
        y_title="features",
        note=f"A random direction has {p:.3f} ± {(2 * p * (1 - p) / (m + 2)) ** 0.5:.3f} (Beta).",
    )
    rows, middle = [], np.sqrt(SIZES[1:] * SIZES[:-1]).tolist()
    for label, arm in (("", "main"), (", SmolLM2", "smollm2")):
        for kind in KINDS if arm in arms else ():
            errors = by(arms[arm])[f"{kind}_by_size"].values
            rows += [
                (size, errors[:, i], kind + label)
                for i, size in enumerate(middle)
                if not np.isnan(errors[:, i]).all()
            ]
    linear = figure(
        "Linearised effects on the logits against exact ones",
        "line",
        {"size": "x", "error": "mean", "kind": "color"},
        rows,
        x_log=True,
        y_log=True,
        rules=((0.1, "10 %"),),
        x_title="length of the contribution over that of the stream",
        y_title="median relative error",
    )
    rows = []
    for label, arm in (
        ("one-block model", "main"),
        ("SmolLM2, last block", "smollm2"),
        ("lognormal, σ = 1", "uneven"),
    ):
        if arm in arms:
            worth = np.sort(by(arms[arm]).importance.values[0])
            rows += [
                (q, worth[: round(q * len(worth))].sum() / worth.sum(), label)
                for q in np.linspace(0, 1, 65)
            ]
    even = figure(
        "How evenly neurons share what they are worth to the logits",
        "line",
        {"rank": "x", "share": "y", "of": "color"},
        rows,
        x_title="share of neurons, least first",
        y_title="share of worth",
    )
    return [unexplained, features, unread_by_block(arms, SMOLLM2), linear, even]


def unread_by_block(arms: Arms, model: OnDisk) -> Figure:
    """Unread share of each block's activations, trained, untrained and beside random subspaces."""
    rows = []
    for label, arm in (
        (model.name, model.arm),
        ("untrained", f"{model.prefix}untrained"),
        ("random subspaces", f"{model.prefix}isotropic"),
    ):
        for i in range(arms[arm].sizes["block"] if arm in arms else 0):
            block = by(arms[arm]).isel(seed=0, block=i)
            rows.append((i, (block.null / block.total).values, label))
    return figure(
        f"What the MLPs of {model.name} write and nothing reads",
        "line",
        {"block": "x", "share": "mean", "model": "color"},
        rows,
        x_title="block",
        y_title="unread share of the activations' variance",
        note="Mean and 95 % t interval over documents.",
    )


SPOKEN = {"act": "activations", "update": "update", "logit": "logits"}
ARROWS = {
    "act": "h → h",
    "again": "h → h again",
    "act-update": "h → o",
    "update": "o → o",
    "post": "x → x",
    "logit": "z → z",
    "act-logit": "h → z",
}
