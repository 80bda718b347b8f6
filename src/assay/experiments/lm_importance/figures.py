"""The figures of lm-importance."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, by, figure
from assay.core.heavy import xr
from assay.experiments.lm_importance.claims import KINDS, STRONG, kinds, sums

QUARTER = ("weakest quarter", "second", "third", "strongest quarter")
CURVES = {
    "main": "its own part",
    "random": "a random direction as long",
    "permuted": "its part at other tokens",
    "frozen-decoder": "frozen decoder: its own part",
}
SHOWN = 5
"""Features of each kind that are shown."""


def figures(arms: Arms) -> list[Figure]:
    main = by(arms["main"])
    per = main.change.sum(("document", "quarter")) / main.firings.sum(("document", "quarter"))
    kind = kinds(arms["main"])
    rows = [
        (
            float(main.density[cell]),
            float(per[cell]),
            KINDS[2 if np.isnan(kind[cell]) else int(kind[cell])],
        )
        for cell in np.ndindex(kind.shape)
    ]
    direct = main.change_direct.sum(("document", "quarter")) / main.firings.sum(
        ("document", "quarter")
    )
    paths = zip(per.values.ravel().tolist(), direct.values.ravel().tolist(), strict=True)
    return [
        figure(
            "How much a feature matters where it fires, and how often it fires",
            "points",
            {"density": "x", "importance": "y", "kind": "color"},
            rows,
            x_log=True,
            x_title="share of tokens on which it fires",
            y_title="nats that its firing saves at the next token",
            rules=((0.0, ""),),
            note="Every drawn feature of every dictionary. Of rare ones there are few firings, and "
            "their points scatter most.",
        ),
        figure(
            "What taking a part out costs, by how strongly the feature fires",
            "line",
            {"arm": "color", "quarter": "x", "mean": "mean"},
            by_strength(arms),
            x_title="firings of each feature by strength, in quarters",
            y_title="nats at the next token",
            note="Mean and 95 % t interval over seeds; 1 is the weakest quarter.",
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
        figure(
            "The direct path beside all paths",
            "points",
            {"full": "x", "direct": "y"},
            paths,
            x_title="nats per firing, through all later blocks",
            y_title="nats per firing, direct path only",
            rules=((0.0, ""),),
        ),
    ]


def by_strength(arms: Arms) -> list[tuple]:
    """Rows: importance per firing in each quarter of strength, the mean over seeds with a 95 % t
    interval."""
    rows: list[tuple] = []
    for name, label in CURVES.items():
        if name in arms:
            for q in range(len(QUARTER)):
                total = {
                    k: x.sum("document")
                    for k, x in sums(arms[name], "change", "firings", quarter=q).items()
                }
                rows.append((label, q + 1, (total["change"] / total["firings"]).values))
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
