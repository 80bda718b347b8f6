"""The figures of superposition-sae."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.superposition_sae.claims import (
    recovered,
    represented,
)

CHOSEN = 2.5
"""The penalty at which claims are judged: of the pilot's three the one that finds most."""


def figures(arms: Arms) -> list[Figure]:
    main = arms["main"]
    return [
        figure(
            "What mattered is kept, and much of what is kept is recovered",
            "line",
            {"what": "color", "rank": "x", "share": "y"},
            by_rank(arms),
            x_title="rank of importance (1 is the most important feature)",
            y_title=f"share of {main.sizes['run']} toys",
        )
    ]


def by_rank(arms: Arms) -> list[tuple]:
    """Rows: for each rank of importance the share of toys in which that feature is kept, and in
    which it is recovered."""
    parts = (
        ("kept by the toy", "main", represented),
        ("recovered by ReLU + L1", "main", recovered),
        ("recovered by TopK", "topk", recovered),
    )

    def shares(
        arm: xr.Dataset, criterion: Callable[[Mapping[str, np.ndarray]], Any]
    ) -> list[float]:
        order = np.argsort(-arm.importance.values, axis=1)
        names = ("cosine", "f1", "norm_squared")
        ranked = {n: np.take_along_axis(arm[n].values, order, 1) for n in names}
        return criterion(ranked).mean(0).tolist()

    return [
        (label, rank, value)
        for label, name, criterion in parts
        if name in arms
        for rank, value in enumerate(shares(arms[name], criterion), 1)
    ]
