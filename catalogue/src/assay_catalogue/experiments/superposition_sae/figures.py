"""The figures of superposition-sae."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from assay.core import Arms, Figure, figure
from assay.core.heavy import xr
from assay_catalogue.experiments.superposition_sae.claims import (
    AROUND,
    BLOCK,
    OWN,
    matched,
    recovered,
    represented,
    share,
)

CHOSEN = 2.5
"""The penalty at which claims are judged: of the pilot's three the one that finds most."""
LEAST = 0.01
"""Squared length below which features are drawn together."""


def figures(arms: Arms) -> list[Figure]:
    main = arms["main"]
    keep = (
        np.where(main.norm_squared.values > 0.5, "represented", "not represented").ravel().tolist()
    )
    return [
        figure(
            "What mattered is kept, and much of what is kept is recovered",
            "line",
            {"what": "color", "rank": "x", "share": "y"},
            by_rank(arms),
            x_title="rank of importance (1 is the most important feature)",
            y_title=f"share of {main.sizes['run']} toys",
        ),
        *(
            figure(
                title,
                "points",
                {"cosine": "y", "feature": "color", name: "x"},
                zip(main.cosine.values.ravel(), keep, values.ravel(), strict=True),
                x_title=x_title,
                y_title="cosine with the nearest latent",
                x_log=True,
                note=f"One point a feature of {main.sizes['run']} toys; ReLU + L1 at λ "
                f"{CHOSEN:g}.{more}",
            )
            for title, name, values, x_title, more in (
                (
                    "Recovery against importance",
                    "importance",
                    main.importance.values,
                    "importance, over that of the first feature",
                    "",
                ),
                (
                    "Recovery against what the toy kept",
                    "norm",
                    np.maximum(main.norm_squared.values, LEAST),
                    "‖w‖², squared length of the feature's hidden direction",
                    f" A length of {LEAST:g} stands for smaller ones as well.",
                ),
            )
        ),
        figure(
            "What dictionaries find of represented features, by arm",
            "bars",
            {"arm": "x", "what": "color", "mean": "mean"},
            by_arm(arms),
            y_title="share of represented features",
            note="Mean and 95 % t interval over toys.",
        ),
        *(
            figure(
                f"Importance and {label} of features that are alike",
                "bars",
                {"arm": "x", "alike in": "color", "mean": "mean"},
                by_match(arms, recovery),
                y_title="rank correlation with importance",
                rules=((-0.2, ""), (0.2, "")),
                note="Represented features, each compared with like features of other toys of its "
                f"block of {BLOCK}; mean and 95 % t interval "
                "over blocks. Dashed: the margin of the claims.",
            )
            for recovery, label in (("cosine", "cosine"), ("f1", "F1"))
        ),
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


def by_arm(arms: Arms) -> list[tuple]:
    """Rows: shares of represented features, direction found and recovered, in each arm that has
    a dictionary."""
    parts = (
        ("direction found", lambda features: features["cosine"] >= 0.9),
        ("recovered", recovered),
    )
    return [
        (name, label, share(criterion)(arms[name], {}).values)
        for name in ("main", "topk", "equal", "shuffled", "random", "pca")
        if name in arms
        for label, criterion in parts
    ]


def by_match(arms: Arms, recovery: str) -> list[tuple]:
    """Rows: the matched rank correlation of importance with a measure of recovery, by what
    features are matched in."""
    return [
        (name, label, matched(names, recovery)(arms[name], {}).values)
        for name in ("main", "donated", "donated-around", "favoured", "topk")
        if name in arms
        for names, label in ((OWN, "norm and density"), (AROUND, "… and crowding"))
    ]
