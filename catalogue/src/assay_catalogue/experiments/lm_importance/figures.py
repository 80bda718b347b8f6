"""The figures of lm-importance."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, by, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.lm_importance.claims import KINDS, STRONG, kinds, sums
from assay_catalogue.experiments.lm_importance.method import QUARTERS

CURVES = {
    ("main", "change"): "its own part",
    ("main", "change_random"): "a random direction as long",
    ("main", "change_permuted"): "its part at other tokens",
    ("frozen-decoder", "change"): "frozen decoder: its own part",
}
SHOWN = 5
"""Features of each kind that are shown."""


def figures(arms: Arms) -> list[Figure]:
    main = by(arms["main"]).transpose("seed", "feature", ...)
    strong = main.isel(quarter=STRONG).sum("document")
    per = (strong.change / strong.firings).values
    kind = kinds(arms["main"]).isel(length=0).values
    rows = [
        (
            float(main.density[cell]),
            float(per[cell]),
            KINDS[2 if np.isnan(kind[cell]) else int(kind[cell])],
        )
        for cell in np.ndindex(kind.shape)
    ]
    return [
        figure(
            "How much a feature matters where it fires, and how often it fires",
            "points",
            {"density": "x", "importance": "y", "kind": "color"},
            rows,
            x_log=True,
            x_title="share of tokens on which it fires",
            y_title="nats that a strong firing saves at the next token",
            rules=((0.0, ""),),
            note="Every drawn feature of every dictionary. Of rare ones there are few firings, and "
            "their points scatter most.",
        ),
        figure(
            "What taking a part out costs, at weak and at strong firings",
            "bars",
            {"arm": "x", "quarter": "facet", "mean": "mean"},
            by_strength(arms),
            y_title="nats at the next token",
            note="Mean and 95 % t interval over seeds.",
        ),
        figure(
            "The two kinds, by rule: how often the strongest firings are right",
            "bars",
            {"feature": "x", "kind": "facet", "right": "y"},
            examples(main, kind),
            y_title="share right of firings that move the loss by more than 0.1 nat",
            note="The five rarest of the first kind and the five most often wrong: token it fires "
            "on most strongly, dictionary/feature. To see one: assay serve "
            f"lm-importance/main-s{int(main.seed[0])} opens dictionary {int(main.seed[0])} in the "
            "explorer, where a feature's number ends its address.",
        ),
    ]


def by_strength(arms: Arms) -> list[tuple]:
    """Rows: nats per firing in each quarter of strength, the mean over seeds with a 95 % t
    interval."""
    rows: list[tuple] = []
    for (name, what), label in CURVES.items():
        if name in arms and what in arms[name]:
            for q, quarter in enumerate(QUARTERS):
                total = {
                    k: x.sum(("document", "length"))
                    for k, x in sums(arms[name], what, "firings", quarter=q).items()
                }
                rows.append((label, f"{quarter} quarter", (total[what] / total["firings"]).values))
    return rows


def examples(main: xr.Dataset, kind: np.ndarray) -> list[tuple]:
    """Rows: features of both kinds, named by the token on which they fire most strongly, and how
    often they are right there."""
    data = main.isel(quarter=STRONG).sum("document")
    share = (data.right / (data.right + data.wrong)).transpose("seed", "feature").values
    order = {0: main.density.transpose("seed", "feature").values, 1: share}
    rows = []
    for k, first in order.items():
        places = sorted(zip(*np.nonzero(kind == k), strict=True), key=lambda cell: first[cell])[
            :SHOWN
        ]
        for seed, feature in places:
            cell = {"seed": seed, "feature": feature}
            name = (
                f"{word(main.spoken.isel(cell).values)} "
                f"{int(main.seed[seed])}/{int(main.number.isel(cell))}"
            )
            rows.append((name, KINDS[k], float(share[seed, feature])))
    return rows


def word(letters: np.ndarray) -> str:
    """A token as text, from the numbers of its characters; what cannot be seen is written out."""
    return repr("".join(chr(int(c)) for c in letters if c))
