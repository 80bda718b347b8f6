"""The figures of sae-zoo."""

from __future__ import annotations

from collections.abc import Mapping

from assay.core import Arms, Figure, columns, summary
from assay.dictionaries.measuring import frontier
from assay.dictionaries.measuring.frontier import FVU
from assay.experiments.sae_zoo.claims import CORNERS, CURVE, everywhere, leads, point

LABELS = {"main": "BatchTopK", "matryoshka": "Matryoshka", "jumprelu": "JumpReLU", "relu": "ReLU"}
BASELINES = {
    "topk": "TopK 16", "frozen-decoder": "TopK 16, random decoder", "frozen-encoder": "TopK 16, random encoder",
    "random": "random features, fitted decoder", "pca": "16 principal components", "shuffled": "TopK 16, shuffled coordinates",
    "untrained": "TopK 16, random weights",
}  # fmt: skip


def figures(arms: Arms) -> list[Figure]:
    topk = frontier.over_l0(arms, [("TopK", name, FVU) for name in CURVE])
    points = frontier.over_l0(arms, [(label, name, FVU) for name, label in LABELS.items()])
    both = {name: [*topk[name], *points[name]] for name in topk}
    return [
        Figure("What each architecture leaves unexplained near 16 features a token", both, "points", x="L0", y="mean", color="arm",
               band=("low", "high"), x_log=True, x_title="L0 (features on per token)", y_title="FVU",
               note="Mean and 95 % t interval over seeds. Claims read every method against TopK's frontier at the method's own L0."),
        Figure("BatchTopK's lead over TopK at equal L0, along length and width", all_leads(arms), "bars", x="corner", y="mean",
               facet="arm", band=("low", "high"), x_title="", y_title="FVU below TopK's frontier"),
        Figure("What need not be learned, and what there is to learn", levels(arms, BASELINES), "bars", x="arm", y="mean", band=("low", "high"),
               x_title="", y_title="FVU",
               note="Each on its own activations: shuffled and random weights are other data, and their FVU is of that data."),
        Figure("Training loss", frontier.history(arms, ("topk", *LABELS)), "line", x="step", y="loss", color="arm", band=("low", "high"),
               x_title="step", y_title="loss", y_log=True, note="Losses of different methods are different sums; compare shapes."),
    ]  # fmt: skip


def all_leads(arms: Arms) -> dict[str, list]:
    """Columns: the lead of BatchTopK and of TopK 16 over TopK's straight frontier at every corner, mean and 95 % t interval over seeds."""
    rows: list[tuple] = []
    for label, name in (("BatchTopK", "batch-along"), ("TopK 16: how far the frontier bends", "topk-along")):
        if {name, "topk-12-along", "topk-21-along"} <= set(arms):
            total = {k: v.sum("document").transpose("seed", ...).values for k, v in everywhere(arms[name], arms).items()}
            rows += [(label, corner, *summary(values)) for corner, values in zip(CORNERS, leads(total).T, strict=True)]
    return columns(("arm", "corner", "mean", "low", "high"), rows)


def levels(arms: Arms, labels: Mapping[str, str]) -> dict[str, list]:
    """Columns: FVU of each arm, mean and 95 % t interval over seeds."""
    rows = []
    for name, label in labels.items():
        if name in arms:
            total = {k: v.sum("document").values for k, v in point(arms[name]).items()}
            rows.append((label, *summary(FVU(total))))
    return columns(("arm", "mean", "low", "high"), rows)
