"""What superposition-sae claims, and its picture: the statements, and how each value is computed
from measures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from assay.core import Arms, Claim, Estimate, Figure, OneTerm, Value, figure
from assay.core.claims import rival, same_method
from assay.core.heavy import xr
from assay.core.memo import once
from assay_catalogue.analysis.matching import beyond, donors, partial_spearman, spearman

SEED = (
    "C. McDougall, comment on ARENA's exercises on superposition: importance and sparse "
    "autoencoders"
)
PILOT = "pilot: seeds 0–31"
DONORS = 3
"""Features of other toys with which each feature is compared."""
BLOCK = 12
"""Toys in a block. Donors come from toys of the same block, so that blocks share nothing: the whole
procedure is done anew in each."""


def single(values: Any) -> np.ndarray:
    """The numbers in single precision, as a record keeps them: ranks and nearest neighbours are
    then the same from a record."""
    return np.asarray(values).astype(np.float32).astype(float)


@once
def of_features(arm: xr.Dataset) -> dict[str, np.ndarray]:
    """{name: [run, feature]} of all measures of features, in single precision."""
    return {
        str(n): single(x.values) for n, x in arm.data_vars.items() if x.dims == ("run", "feature")
    }


def over_features(statistic: Callable[[Mapping[str, np.ndarray]], Any]) -> OneTerm:
    """A value [run]: a number made of each run's features, given as plain arrays by name; NaN where
    it is undefined."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        features = of_features(arm)
        per_run = [
            statistic({n: values[r] for n, values in features.items()})
            for r in range(arm.sizes["run"])
        ]
        return arm.cosine.isel(feature=0, drop=True).copy(data=np.array(per_run, dtype=float))

    return value


def represented(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Features of which the toy kept more than half: ‖w‖² > ½."""
    return features["norm_squared"] > 0.5


def recovered(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Features with a latent along them (cosine ≥ .9) that is on when they are (F1 ≥ .8)."""
    return (features["cosine"] >= 0.9) & (features["f1"] >= 0.8)


def share(
    subset: Callable[[Mapping[str, np.ndarray]], Any],
    among: Callable[[Mapping[str, np.ndarray]], Any] = represented,
) -> OneTerm:
    """A value [run]: the share of the features in `among` that are in `of`."""
    return over_features(
        lambda features: (
            np.mean(subset(features)[among(features)]) if among(features).any() else np.nan
        )
    )


def correlation(features: Mapping[str, np.ndarray]) -> float:
    """Spearman's correlation of cosine and importance over all features of a toy."""
    return spearman(features["cosine"], features["importance"])


def partial(features: Mapping[str, np.ndarray]) -> float:
    """Spearman's correlation of cosine and importance, with the ranks of norm and density taken out
    in straight lines."""
    return partial_spearman(
        features["cosine"],
        features["importance"],
        np.column_stack([features["norm_squared"], features["frequency"]]),
    )


OWN = ("norm_squared", "frequency")
AROUND = (*OWN, "crowding")


def covariates(arm: xr.Dataset, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """[unit, covariate] of all represented features, norm as it is, the others by their logarithm;
    and which these are [run, f]."""
    is_represented = single(arm.norm_squared.values) > 0.5
    columns = {n: single(arm[n].values[is_represented]) for n in names}
    return np.column_stack(
        [
            v if n == "norm_squared" else np.log(v + 0.01 * (n == "crowding"))
            for n, v in columns.items()
        ]
    ), is_represented


def blocks(arm: xr.Dataset) -> np.ndarray:
    """The runs of each block of toys, by seed; an incomplete last block is left out, unless there
    is no other."""
    order = np.argsort(arm.seed.values, kind="stable")
    whole = len(order) // BLOCK * BLOCK
    return order[:whole].reshape(-1, BLOCK) if whole else order[None]


def each_block(measure: Callable[[xr.Dataset, Arms], float | xr.DataArray]) -> Value:
    """A value [block]: a number made of the toys of each block by themselves."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        return per_block([float(measure(arm.isel(run=runs), arms)) for runs in blocks(arm)])

    return value


@once
def likes_by_block(
    arm: xr.Dataset, names: tuple[str, ...]
) -> list[tuple[np.ndarray, np.ndarray | None, np.ndarray]]:
    """The runs of each block, each represented feature's donors in it, and which features these
    are."""
    return [(runs, *likes(arm.isel(run=runs), names, DONORS)) for runs in blocks(arm)]


def likes(arm: xr.Dataset, names: Sequence[str], k: int) -> tuple[np.ndarray | None, np.ndarray]:
    """For each represented feature of a block the k features of its other toys that are nearest in
    `names`; and which these are."""
    x, is_represented = covariates(arm, names)
    counts = is_represented.sum(1)
    enough = len(is_represented) > 1 and (counts.sum() - counts).min() >= k
    return (donors(x, np.nonzero(is_represented)[0], k) if enough else None), is_represented


@cache
def matched(names: tuple[str, ...], recovery: str = "cosine") -> Value:
    """A value [block]: Spearman's correlation of what recovery and log importance of a toy's
    represented features have beyond donors'.

    Donors are the features of other toys of the block that are nearest in what `names` lists. The
    mean over the block's toys; NaN where there are too few donors, and no toy counts whose features
    are all alike."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        features, correlations = of_features(arm), []
        for runs, near, is_represented in likes_by_block(arm, names):
            if near is None:
                correlations.append(np.nan)
                continue
            run = np.nonzero(is_represented)[0]
            residuals = [
                beyond(v[runs][is_represented], near)
                for v in (features[recovery], np.log(features["importance"]))
            ]
            run_correlations = [
                spearman(*(v[run == r] for v in residuals))
                for r in range(len(is_represented))
                if (run == r).sum() > 2
            ]
            correlations.append(
                np.nanmean(run_correlations) if np.isfinite(run_correlations).any() else np.nan
            )
        return per_block(correlations)

    return value


def per_block(values: Sequence[float]) -> xr.DataArray:
    """A value [block] of these numbers."""
    return xr.DataArray(
        [float(x) for x in values], dims="block", coords={"block": np.arange(len(values))}
    )


def gain(other: str) -> Value:
    """A value [run]: by how much this arm's recovered share of represented features lies above
    another's."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        arm_share, theirs = (
            share(recovered)(dataset, arms).swap_dims(run="seed").reset_coords(drop=True)
            for dataset in (arm, arms[other])
        )
        return arm_share - theirs

    return value


TOPK = {"topk": rival("another dictionary on the same toys")}
OTHERS = TOPK | {"favoured": same_method("a dictionary on the same toys as well")}
ELSEWHERE = {"equal": same_method("dictionaries on other toys")}
COMPONENTS = {"pca": rival("it finds few features, by norm and density")}
RECOVERED = ("toy", "dictionary")
MATTERED = (*RECOVERED, "importance")
"""What is credited, with importance and without."""
PRINCIPAL = {
    "pca": "that the largest directions are the features, which principal components find as well"
}
FAVOURED = {
    "favoured": (
        "that importance bypasses the toy: the dictionary itself is shown important features more "
        "often"
    )
}
claim = functools.partial(
    Claim,
    unit="Spearman's ρ",
    credits=MATTERED,
    half={"main": "half"},
    published="new",
    source=SEED,
)
"""A claim with what most of them share."""
CLAIMS = (
    claim(
        text="What mattered to the toy is found: over all features recovery and importance have a "
        "rank correlation of at least 0.5",
        value=over_features(correlation),
        low=0.5,
        must_fail=("pca", "equal"),
        near=PRINCIPAL,
        also=OTHERS,
        threshold_from="plan: 0.5, before anything was trained",
    ),
    claim(
        text="At least 0.8 of the represented features have a latent along them (cosine at least "
        "0.9)",
        value=share(lambda features: features["cosine"] >= 0.9),
        low=0.8,
        bounds=(0, 1),
        unit="share of represented features",
        must_fail=("pca", "random", "shuffled"),
        near=PRINCIPAL,
        also=OTHERS | ELSEWHERE,
        credits=RECOVERED,
        threshold_from="plan: 0.8, before anything was trained",
    ),
    claim(
        text="At least 0.8 of the represented features are recovered, direction and occasions "
        "alike (cosine 0.9, F1 0.8)",
        value=share(recovered),
        low=0.8,
        bounds=(0, 1),
        unit="share of represented features",
        must_fail=("pca", "random", "shuffled"),
        near=PRINCIPAL,
        also=OTHERS | ELSEWHERE,
        credits=RECOVERED,
        threshold_from="plan: 0.8, before anything was trained",
    ),
    claim(
        text="Norm and density are all: among represented features alike in both, importance and "
        "F1 have a rank correlation within 0.2 of 0",
        value=matched(OWN, "f1"),
        units=("block",),
        low=-0.2,
        high=0.2,
        near=FAVOURED,
        also=COMPONENTS,
        violations=("favoured", "bypassed"),
        must_hold=("donated",),
        threshold_from=f"{PILOT}: .63 ± .06; donated −.05 ± .08",
    ),
    claim(
        text="Norm, density and crowding are all: among represented features alike in the three, "
        "importance and F1 have a rank correlation within 0.2 of 0",
        value=matched(AROUND, "f1"),
        units=("block",),
        low=-0.2,
        high=0.2,
        near={
            "bypassed": "that importance reaches F1 by what no summary of the toy's weights shows"
        },
        also=COMPONENTS | TOPK,
        violations=("bypassed", "favoured"),
        must_hold=("donated-around",),
        threshold_from="pilot: seeds 0–31, 1000–1047: .27 ± .09, .22 ± .07; the margin is that of "
        "the claim above",
    ),
    claim(
        text="They are all there is to directions: among represented features alike in the three, "
        "importance and cosine have a rank correlation within 0.2 of 0",
        value=matched(AROUND),
        units=("block",),
        low=-0.2,
        high=0.2,
        near=FAVOURED,
        also=COMPONENTS | TOPK,
        violations=("half-favoured",),
        must_hold=("donated-around",),
        threshold_from=f"{PILOT}: .07 ± .10; favoured .40 ± .10",
    ),
    Claim(
        text="With one latent at a time norm and density are all: in TopK dictionaries importance "
        "and F1 of like features have a rank correlation within 0.2 of 0",
        of="topk",
        value=matched(OWN, "f1"),
        units=("block",),
        low=-0.2,
        high=0.2,
        unit="Spearman's ρ",
        near={"main": "that dictionaries of any kind show it"},
        also=COMPONENTS,
        credits=MATTERED,
        violations=("favoured", "bypassed"),
        must_hold=("donated",),
        threshold_from=f"{PILOT}: .08 ± .08; ReLU .63 ± .06",
        published="new",
        source=SEED,
    ),
    Estimate(
        text="A partial rank correlation of importance and cosine given norm and density, where "
        "importance acts through them alone",
        value=lambda arms: each_block(lambda arm, _: over_features(partial)(arm, {}).mean())(
            arms["donated"], arms
        ),
        units=("block",),
        unit="partial Spearman's ρ",
        source=SEED,
    ),
    *(
        Estimate(
            text=f"{label}: rank correlation of importance and {what} of features alike in "
            f"{condition}",
            value=lambda arms, name=name, names=names, recovery=recovery: matched(names, recovery)(
                arms[name], arms
            ),
            units=("block",),
            unit="Spearman's ρ",
            source=SEED,
        )
        for label, name in (("ReLU + L1", "main"), ("TopK", "topk"))
        for condition, names in (("norm and density", OWN), ("norm, density and crowding", AROUND))
        for what, recovery in (("cosine", "cosine"), ("F1", "f1"))
        if (name, names, recovery)
        not in (
            ("main", OWN, "f1"),
            ("main", AROUND, "f1"),
            ("main", AROUND, "cosine"),
            ("topk", OWN, "f1"),
        )
    ),
    *(
        Estimate(
            text=(
                f"ReLU + L1: share of represented features recovered where crowding is {label} 0.05"
            ),
            value=lambda arms, uncrowded=uncrowded: share(
                recovered,
                lambda features: (
                    represented(features) & ((features["crowding"] < 0.05) == uncrowded)
                ),
            )(arms["main"], arms),
            unit="share of represented features",
            natural=(0, 1),
        )
        for label, uncrowded in (("below", True), ("above", False))
    ),
    Estimate(
        text="TopK: share of represented features recovered beyond that of ReLU + L1",
        value=lambda arms: gain("main")(arms["topk"], arms),
        unit="difference of shares",
    ),
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
