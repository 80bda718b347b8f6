"""The figures of sae-zoo."""

from __future__ import annotations

from collections.abc import Mapping

from assay.core import Arms, Figure, columns, summary
from assay.dictionaries.measuring import frontier
from assay.dictionaries.measuring.frontier import FVU
from assay.experiments.sae_zoo.claims import CORNERS, CURVE, everywhere, leads, point

LABELS = {"main": "BatchTopK", "matryoshka": "Matryoshka", "jumprelu": "JumpReLU", "relu": "ReLU"}


def baselines(k: int) -> dict[str, str]:
    """The arms with a part that nobody learned, and what they are called at so many features a
    token."""
    return {
        "topk": f"TopK {k}",
        "frozen-decoder": f"TopK {k}, random decoder",
        "frozen-encoder": f"TopK {k}, random encoder",
        "random": "random features, fitted decoder",
        "pca": f"{k} principal components",
        "shuffled": f"TopK {k}, shuffled coordinates",
        "untrained": f"TopK {k}, random weights",
    }


def figures(arms: Arms) -> list[Figure]:
    k = int(arms["main"].attrs["k"])
    topk = frontier.over_l0(arms, [("TopK", name, FVU) for name in CURVE])
    points = frontier.over_l0(arms, [(label, name, FVU) for name, label in LABELS.items()])
    both = {name: [*topk[name], *points[name]] for name in topk}
    return [
        Figure(
            f"What each architecture leaves unexplained near {k} features a token",
            both,
            "points",
            x="L0",
            y="mean",
            color="arm",
            band=("low", "high"),
            x_log=True,
            x_title="L0 (features on per token)",
            y_title="FVU",
            note=(
                "Mean and 95 % t interval over seeds. Claims read every method against TopK's "
                "frontier at the method's own L0."
            ),
        ),
        Figure(
            "BatchTopK's lead over TopK at equal L0, along length and width",
            all_leads(arms, k),
            "bars",
            x="corner",
            y="mean",
            facet="arm",
            band=("low", "high"),
            x_title="",
            y_title="FVU below TopK's frontier",
        ),
        Figure(
            "What need not be learned, and what there is to learn",
            levels(arms, baselines(k)),
            "bars",
            x="arm",
            y="mean",
            band=("low", "high"),
            x_title="",
            y_title="FVU",
            note=(
                "Each on its own activations: shuffled and random weights are other data, and "
                "their FVU is of that data."
            ),
        ),
        Figure(
            "Training loss",
            frontier.history(arms, ("topk", *LABELS)),
            "line",
            x="step",
            y="loss",
            color="arm",
            band=("low", "high"),
            x_title="step",
            y_title="loss",
            y_log=True,
            note="Losses of different methods are different sums; compare shapes.",
        ),
    ]


def all_leads(arms: Arms, k: int) -> dict[str, list]:
    """Columns: the lead of BatchTopK and of TopK over TopK's straight frontier at every corner,
    mean and 95 % t interval over seeds."""
    rows: list[tuple] = []
    for label, name in (
        ("BatchTopK", "batch-along"),
        (f"TopK {k}: how far the frontier bends", "topk-along"),
    ):
        if {name, "topk-12-along", "topk-21-along"} <= set(arms):
            total = {
                k: v.sum("document").transpose("seed", ...).values
                for k, v in everywhere(arms[name], arms).items()
            }
            rows += [
                (label, corner, *summary(values))
                for corner, values in zip(CORNERS, leads(total).T, strict=True)
            ]
    return columns(("arm", "corner", "mean", "low", "high"), rows)


def levels(arms: Arms, labels: Mapping[str, str]) -> dict[str, list]:
    """Columns: FVU of each arm, mean and 95 % t interval over seeds."""
    rows = []
    for name, label in labels.items():
        if name in arms:
            total = {k: v.sum("document").values for k, v in point(arms[name]).items()}
            rows.append((label, *summary(FVU(total))))
    return columns(("arm", "mean", "low", "high"), rows)
