"""The figures of superposition-sae."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from assay.core import Arms, Figure, columns, summary
from assay.core.heavy import xr
from assay.experiments.superposition_sae.claims import (
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
    points = {
        "mark": "points",
        "y": "cosine",
        "color": "feature",
        "y_title": "cosine with the nearest latent",
    }
    cosines = {"cosine": main.cosine.values.ravel().tolist(), "feature": keep}
    note = f"One point a feature of {main.sizes['run']} toys; ReLU + L1 at λ {CHOSEN:g}."
    return [
        Figure(
            "What mattered is kept, and much of what is kept is recovered",
            by_rank(arms),
            "line",
            x="rank",
            y="share",
            color="what",
            x_title="rank of importance (1 is the most important feature)",
            y_title=f"share of {main.sizes['run']} toys",
        ),
        Figure(
            "Recovery against importance",
            cosines | {"importance": main.importance.values.ravel().tolist()},
            x="importance",
            x_title="importance, over that of the first feature",
            x_log=True,
            note=note,
            **points,
        ),
        Figure(
            "Recovery against what the toy kept",
            cosines | {"norm": np.maximum(main.norm_squared.values, LEAST).ravel().tolist()},
            x="norm",
            x_title="‖w‖², squared length of the feature's hidden direction",
            x_log=True,
            note=f"{note} A length of {LEAST:g} stands for smaller ones as well.",
            **points,
        ),
        Figure(
            "What dictionaries find of represented features, by arm",
            by_arm(arms),
            "bars",
            x="arm",
            y="mean",
            color="what",
            band=("low", "high"),
            x_title="",
            y_title="share of represented features",
            note="Mean and 95 % t interval over toys.",
        ),
        *(
            Figure(
                f"Importance and {label} of features that are alike",
                by_match(arms, recovery),
                "bars",
                x="arm",
                y="mean",
                color="alike in",
                band=("low", "high"),
                x_title="",
                y_title="rank correlation with importance",
                rules=((-0.2, ""), (0.2, "")),
                note="Represented features, each compared with like features of other toys of its "
                f"block of {BLOCK}; mean and 95 % t interval "
                "over blocks. Dashed: the margin of the claims.",
            )
            for recovery, label in (("cosine", "cosine"), ("f1", "F1"))
        ),
    ]


def by_rank(arms: Arms) -> dict[str, list]:
    """Columns: for each rank of importance the share of toys in which that feature is kept, and in
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
        return (
            criterion(
                {
                    n: np.take_along_axis(arm[n].values, order, 1)
                    for n in ("cosine", "f1", "norm_squared")
                }
            )
            .mean(0)
            .tolist()
        )

    return columns(
        ("what", "rank", "share"),
        (
            (label, rank, value)
            for label, name, criterion in parts
            if name in arms
            for rank, value in enumerate(shares(arms[name], criterion), 1)
        ),
    )


def by_arm(arms: Arms) -> dict[str, list]:
    """Columns: shares of represented features, direction found and recovered, in each arm that has
    a dictionary."""
    parts = (
        ("direction found", lambda features: features["cosine"] >= 0.9),
        ("recovered", recovered),
    )
    return columns(
        ("arm", "what", "mean", "low", "high"),
        (
            (name, label, *summary(share(criterion)(arms[name], {}).values))
            for name in ("main", "topk", "equal", "shuffled", "random", "pca")
            if name in arms
            for label, criterion in parts
        ),
    )


def by_match(arms: Arms, recovery: str) -> dict[str, list]:
    """Columns: the matched rank correlation of importance with a measure of recovery, by what
    features are matched in."""
    return columns(
        ("arm", "alike in", "mean", "low", "high"),
        (
            (name, label, *summary(matched(names, recovery)(arms[name], {}).values))
            for name in ("main", "donated", "donated-around", "favoured", "topk")
            if name in arms
            for names, label in ((OWN, "norm and density"), (AROUND, "… and crowding"))
        ),
    )
