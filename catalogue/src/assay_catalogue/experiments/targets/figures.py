"""The figures of targets."""

from __future__ import annotations

from assay.core import Arms, Figure, by, figure
from assay_catalogue.experiments.targets.claims import SMOLLM2, OnDisk


def figures(arms: Arms) -> list[Figure]:
    if "main" not in arms:
        return []
    data, rows = by(arms["main"]), []
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
    return [unexplained, unread_by_block(arms, SMOLLM2)]


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
