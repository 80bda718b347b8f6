"""What metric-audit claims, and its picture: the statements, and how each value is computed from
the scores of a judge."""

from __future__ import annotations

import numpy as np

from assay.core import Arms, Claim, Estimate, Figure, OneTerm, by, figure
from assay.core.claims import rival
from assay.core.heavy import scipy, xr
from assay.core.stats import Means, smallest
from assay_catalogue.analysis.luck import smallest_difference
from assay_catalogue.experiments.metric_audit.derived import ON_MODEL
from assay_catalogue.experiments.metric_audit.model import DRAWN, SOFT
from assay_catalogue.experiments.metric_audit.planted import KINDS, TRUTHS

CHANIN = "Chanin 2026, Are Sparse Autoencoder Benchmarks Reliable? (arXiv 2605.18229)"
SANITY = "Korznikov et al. 2026, Sanity Checks for Sparse Autoencoders (arXiv 2602.14111)"
UNTRAINED = (
    "Heap et al. 2025, Sparse Autoencoders Can Interpret Randomly Initialized Transformers (arXiv "
    "2501.17727)"
)
LABELS = {
    "fvu": "FVU",
    "recovered": "loss recovered",
    "probe": "probing with one feature",
    "explained": "the score of explanations",
    "agreement": "agreement of two trainings",
    "absorption": "absorption",
}
"""Measures whose order is claimed to be that of both truths."""
NEAR = {
    "l0": "what is left of differences in L0 says as much",
    "moved": "so does how far rows moved from their start, which knows nothing of features",
    "rate": "so does the learning rate, which nobody has to measure",
}
RHO, DEVIATIONS = 0.7, 2.0
"""Least rank correlation with both truths, and least distance in standard deviations of what two
trainings differ by."""


def rank_correlation(arm: xr.Dataset, arms: Arms) -> dict[str, xr.DataArray]:
    """A term [seed, truth]: Spearman's correlation of score and truth over all dictionaries of a
    world."""
    data = by(arm[["score", "truths"]]).transpose("seed", ..., "truth")
    score, truths = (
        x.values.astype(np.float32).reshape(len(data.seed), -1, *x.shape[x.ndim - extra :])
        for x, extra in ((data.score, 0), (data.truths, 1))
    )  # as a record holds them: ties stay ties
    rho = [[_spearman(a, b) for b in both.T] for a, both in zip(score, truths, strict=True)]
    coords = {"seed": data.seed.values, "truth": data.truth.values}
    return {"rho": xr.DataArray(rho, dims=("seed", "truth"), coords=coords)}


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    return float(scipy.stats.spearmanr(a, b)[0])


def deviation_gap(other: str) -> OneTerm:
    """A value [seed]: how far a TopK dictionary's score lies above that of another kind, in
    deviations of the difference of two trainings.

    These, √2 times the deviation of a training, are pooled over all trainings that differ by luck,
    and taken as known."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        score = by(arm[["score"]]).score
        first = score.isel(copy=0, drop=True)
        gap = first.sel(kind="topk", drop=True) - first.sel(kind=other, drop=True)
        return gap / (2 * float(variance(score))) ** 0.5

    return value


def variance(score: xr.DataArray) -> xr.DataArray:
    """The squared deviation of trainings that differ by luck, the mean over kinds.

    Seeds are copies of one another on a language model; models with random weights differ, and are
    left out."""
    known = score.sel(kind=[k for k in score.kind.values if k != DRAWN])
    n = known.notnull().sum(("seed", "copy"))
    return ((known - known.mean(("seed", "copy"))) ** 2 * n / (n - 1)).mean(("seed", "copy")).mean()


def order(name: str) -> Claim:
    """A measure orders dictionaries as both planted truths do."""
    label = LABELS[name]
    return Claim(
        text=f"{label[:1].upper() + label[1:]} orders dictionaries of one L0 and width as planted "
        "truth does, by F1 and by MMCS: both rank correlations at least 0.7",
        of=name,
        value=rank_correlation,
        statistic=smallest("rho"),
        low=RHO,
        unit="rank correlation",
        must_fail=("numbers", f"{name}-elsewhere", *NEAR),
        must_hold=("noisy-truth",),
        near={f"{name}-elsewhere": "the recipe alone says as much", **NEAR},
        also={
            k: rival("another measure of the same dictionaries, which may tell as much")
            for k in LABELS
            if k != name
        },
        fixed=(f"{len(KINDS)} kinds of dictionaries",),
        threshold_from="plan: half of the variance of ranks, .7² = .49, before any pilot",
        after_look="fourteen kinds of mixed L0 and width were ordered, by F1 alone",
        published="new",
        source=f"{CHANIN}, section 5",
    )


def tells(name: str, other: str, words: str, source: str, model: str, lm: str) -> Claim:
    """A measure tells TopK from another kind by more than luck; `lm` stands before the names of a
    model's arms."""
    arm = f"{lm}{name}"
    return Claim(
        text=f"On {model} {LABELS[name]} tells TopK from {words}: by at least 2 deviations of two "
        "trainings' difference",
        of=arm,
        value=deviation_gap(other),
        low=DEVIATIONS,
        unit="deviations of a difference",
        must_fail=(f"{lm}numbers", f"{arm}-twice"),
        must_hold=(f"{lm}numbers-apart",),
        near={f"{arm}-twice": "two trainings of the same kind differ by as much"},
        also={
            f"{lm}{k}": rival("another measure of the same dictionaries, which may tell as much")
            for k in ON_MODEL
            if k != name
        },
        threshold_from=(
            "plan: 1.96 deviations are what luck alone exceeds in 5 % of pairs, before any pilot"
        ),
        published="new",
        source=source,
    )


def luck_of(name: str, label: str, model: str, arm: str) -> Estimate:
    """The largest difference that luck leaves two TopK dictionaries of a language model, in 95% of
    pairs."""
    return Estimate(
        text=(
            f"The smallest difference of two TopK dictionaries on {model} that is not luck: {label}"
        ),
        value=lambda arms: both_moments(arms[arm], name),
        statistic=luck,
        unit="in its own unit",
        source=CHANIN,
    )


def both_moments(arm: xr.Dataset, name: str) -> dict[str, xr.DataArray]:
    """Terms [seed]: TopK's measure and its square, about a common centre, means over both copies;
    and how many trainings there are."""
    x = by(arm[["scores"]]).scores.sel(kind="topk", measure=name, drop=True)
    x = x - float(x.mean())
    return {
        "x": x.mean("copy"),
        "xx": (x**2).mean("copy"),
        "trainings": x.notnull().sum("copy").astype(float) * x.sizes["seed"],
    }


def luck(m: Means) -> np.ndarray:
    """t √2 s: what the difference of two new trainings exceeds by luck in 5 % of pairs."""
    n = m["trainings"]
    s = np.sqrt(np.maximum(m["xx"] - m["x"] ** 2, 0) * n / (n - 1))
    return np.asarray(smallest_difference(1.0, round(float(n.flat[0]))) * s)


def correlated(name: str, truth: str, label: str) -> Estimate:
    """A rank correlation without a verdict."""
    return Estimate(
        text=f"Rank correlation with {truth} over the dictionaries of a world: {label}",
        value=lambda arms: rank_correlation(arms[name], arms)["rho"].sel(truth=truth, drop=True),
        unit="rank correlation",
        natural=(-1, 1),
        source=CHANIN,
    )


def truths_agree(arms: Arms) -> xr.DataArray:
    """[seed]: the rank correlation of both truths over the dictionaries of a world."""
    data = arms["main"]
    first = data.assign(score=data.truths.sel(truth=TRUTHS[0], drop=True))
    return rank_correlation(first, arms)["rho"].sel(truth=TRUTHS[1], drop=True)


SOFTLY = "one whose decoder stays near random rows"


def on_model(model: str, lm: str = "") -> tuple[Claim, ...]:
    """What is claimed of dictionaries of a language model."""
    return (
        *(tells(name, SOFT, SOFTLY, SANITY, model, lm) for name in ON_MODEL),
        tells("explained", DRAWN, "one of a model with random weights", UNTRAINED, model, lm),
    )


def lucks(model: str, arm: str = "main") -> tuple[Estimate, ...]:
    """How much luck leaves two dictionaries of a language model apart, by each measure."""
    labels = {**{k: LABELS[k] for k in ON_MODEL}, "loss_recovered_mean": "loss recovered"}
    return tuple(luck_of(name, label, model, arm) for name, label in labels.items())


CLAIMS = (
    *(order(name) for name in LABELS),
    *on_model("SmolLM2", "lm-"),
    Estimate(
        text="Rank correlation of F1 and MMCS over the dictionaries of a world",
        value=truths_agree,
        unit="rank correlation",
        natural=(-1, 1),
    ),
    *(
        correlated(name, truth, label)
        for name, label in {
            **LABELS,
            "l0": "L0",
            "moved": "how far rows moved",
            "rate": "the learning rate",
        }.items()
        for truth in TRUTHS
    ),
    *lucks("SmolLM2", "lm"),
)


SHORT = {
    "fvu": "FVU",
    "recovered": "loss recovered",
    "probe": "probing",
    "explained": "explanations",
    "agreement": "agreement",
    "absorption": "absorption",
    "l0": "L0",
    "moved": "rows moved",
    "rate": "learning rate",
}


def figures(arms: Arms) -> list[Figure]:
    return [
        figure(
            "Which measure orders dictionaries as the planted truths do",
            "bars",
            {"measure": "x", "truth": "facet", "mean": "mean"},
            correlations(arms),
            y_title="rank correlation with the truth",
            note="Over the dictionaries of a world, of one L0 and width; mean and 95% t interval "
            "over worlds. A claim holds from 0.7 on with both truths. The last three are controls.",
        ),
        *apart_on(arms, "SmolLM2", "lm-"),
    ]


def apart_on(arms: Arms, model: str, lm: str = "") -> list[Figure]:
    """How far each measure sets dictionaries of a language model apart."""
    return [
        figure(
            f"What each measure can tell apart on {model}",
            "bars",
            {"contrast": "facet", "measure": "x", "mean": "mean"},
            contrasts(arms, lm),
            y_title="distance from TopK in deviations of two trainings",
            note="Mean and 95% t interval over seeds, the noise taken as known. Below 2 a single "
            "pair does not tell.",
        )
    ]


def correlations(arms: Arms) -> list[tuple]:
    """Rows: the rank correlation of each judge with each truth, mean and 95% t interval over
    worlds."""
    return [
        (SHORT[name], truth, rho.sel(truth=truth).values)
        for name in (*LABELS, *NEAR)
        if name in arms
        for rho in rank_correlation(arms[name], arms).values()
        for truth in TRUTHS
    ]


def contrasts(arms: Arms, lm: str) -> list[tuple]:
    """Rows: how far each measure sets TopK apart from two others, in deviations of the
    difference of two trainings."""
    return [
        (words, SHORT[name], deviation_gap(other)(arms[f"{lm}{name}"], arms).values)
        for words, other, names in (
            ("soft-frozen", SOFT, ON_MODEL),
            ("random weights", DRAWN, ("probe", "explained")),
        )
        for name in names
        if f"{lm}{name}" in arms
    ]
