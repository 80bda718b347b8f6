"""The figures of autointerp-io."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Figure, summary
from assay.core.figures import columns
from assay.core.measures import by

SHOWN = {"detection": "features", "neuron": "neurons", "direction": "random directions", "detection_out": "features, by what they promote",
         "shuffled": "features, by another's rule", "bare": "features, quotes taken out"}  # fmt: skip


def figures(arms: Arms) -> list[Figure]:
    if "main" not in arms:
        return []
    rows = []
    for label, arm in (("trained", "main"), ("model untrained", "untrained"), ("dictionary at its start", "start")):
        for name, what in SHOWN.items() if arm in arms else ():
            rows.append((what, label, *summary(by(arms[arm])[name].mean("feature").values)))
    table = Figure("Which contexts an explanation tells", columns(("explained", "of", "mean", "low", "high"), rows), "bars", x="explained",
                   y="mean", color="of", band=("low", "high"), x_title="", y_title="balanced accuracy, chance .5",
                   note="Contexts of 32 tokens from files that no explanation saw; mean and 95 % t interval over seeds.")  # fmt: skip
    data = arms["main"]
    inside, outside = data.given_in.values.ravel(), data.given_out.values.ravel()
    known = np.isfinite(inside)
    points = Figure("Token-in-context features: what came before, and what comes next", {"before": inside[known].tolist(),
                    "next": outside[known].tolist()}, "points", x="before", y="next", x_title="AUROC of a rule on earlier tokens",
                    y_title="AUROC of a promoted token next", note="On the feature's own token; 10 tokens named on either side.")  # fmt: skip
    return [table, points]
