"""What metric-audit claims: the statements, and how each value is computed from the scores of a
judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.core import Arms, Claim, Finding, OneTerm
from assay.core.claims import rival
from assay.core.heavy import scipy, xr
from assay.core.measures import by
from assay.core.power import smallest_difference
from assay.core.stats import Means
from assay.experiments.metric_audit.derived import HIGHER, ON_MODEL
from assay.experiments.metric_audit.model import DRAWN, SOFT
from assay.experiments.metric_audit.planted import ALONG, FINISHED

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
    "absorption": "absorption",
    "split": "splitting",
    "agreement": "agreement of two trainings",
    "mmcs": "MMCS with the true directions",
}
"""Measures whose order is claimed to be that of the truth."""
ALL_LABELS = {
    **LABELS,
    "loss_recovered_mean": "loss recovered",
    "probe-5": "probing with five features",
    "l0": "L0",
    "dead": "dead features",
    "moved": "how far rows moved",
}
RHO, DEVIATIONS = 0.7, 2.0
"""Least rank correlation with the truth, and least distance in standard deviations of what two
trainings differ by."""
HALF_OF_RANKS = "plan: half of the variance of ranks, .7² = .49, before any pilot"
TWO = "plan: 1.96 deviations are what luck alone exceeds in 5 % of pairs, before any pilot"
QUARTER = "after 1/4"
JUDGES = (
    *HIGHER,
    *(f"{name}-half" for name in HIGHER),
    *(f"lm-{name}" for name in ON_MODEL),
)
OTHERS = dict.fromkeys(
    JUDGES, rival("another measure of the same dictionaries, which may tell as much")
)


def rank_correlation(arm: xr.Dataset, arms: Arms, kinds: Sequence[str] = FINISHED) -> xr.DataArray:
    """[seed]: Spearman's correlation of score and truth over the dictionaries of these kinds, all
    copies."""
    data = by(arm[["score", "truth"]]).sel(kind=list(kinds)).transpose("seed", "kind", "copy")
    pairs = zip(
        data.score.values.astype(np.float32), data.truth.values.astype(np.float32), strict=True
    )  # as a record holds them: ties stay ties
    correlations = [float(scipy.stats.spearmanr(a.ravel(), b.ravel())[0]) for a, b in pairs]
    return xr.DataArray(correlations, dims="seed", coords={"seed": data.seed.values})


def deviation_gap(other: str) -> OneTerm:
    """A value [seed]: how far a TopK dictionary's score lies above that of another kind, in
    deviations of the difference of two trainings.

    These, √2 times the deviation of one training, are pooled over all trainings that differ by
    luck, and taken as known. NaN for a score that is the same number for both, such as their
    agreement: it has no noise to be counted in, so no claim asks this of it."""

    def value(arm: xr.Dataset, arms: Arms) -> xr.DataArray:
        score = by(arm[["score"]]).score
        first = score.isel(copy=0, drop=True)
        gap = first.sel(kind="topk", drop=True) - first.sel(kind=other, drop=True)
        noise = float(2 * variance(score, bool(arm.attrs["subject"])).mean())
        return gap / noise**0.5 if noise > 1e-9 * float((score**2).mean()) else gap * np.nan

    return value


def variance(score: xr.DataArray, same_world: bool) -> xr.DataArray:
    """[seed]: the squared deviation of trainings that differ by luck, the mean over kinds.

    Worlds differ from seed to seed, so there the two copies of each kind are compared. On a
    language model seeds are copies too, and each kind is compared with its own mean over them;
    models with random weights differ, and are left out."""
    if not same_world:
        finished = score.sel(kind=list(FINISHED))
        return (
            (finished.isel(copy=0, drop=True) - finished.isel(copy=1, drop=True))
            .pipe(lambda d: d**2 / 2)
            .mean("kind")
        )
    known = score.sel(kind=[k for k in score.kind.values if k != DRAWN])
    n = known.notnull().sum(("seed", "copy"))
    return ((known - known.mean(("seed", "copy"))) ** 2 * n / (n - 1)).mean(("kind", "copy"))


def begun(words: str) -> str:
    """Words with the first letter large, as a sentence begins."""
    return words[:1].upper() + words[1:]


def order(name: str) -> Claim:
    """A measure orders finished dictionaries as the planted truth does."""
    also = {k: why for k, why in OTHERS.items() if k not in (name, f"{name}-half", "moved", "l0")}
    return Claim(
        text=(
            f"{begun(LABELS[name])} orders dictionaries by what they found of planted features: "
            "rank correlation with the truth at least 0.7"
        ),
        of=name,
        value=rank_correlation,
        low=RHO,
        unit="rank correlation",
        must_fail=("numbers", "l0", "moved"),
        must_hold=("noisy-truth",),
        near={
            "l0": "how few features are on says as much",
            "moved": (
                "so does any quantity that tells learned rows from those left where they began"
            ),
        },
        also=also,
        fixed=("14 kinds of dictionaries",),
        half={name: f"{name}-half"},
        threshold_from=HALF_OF_RANKS,
        published="new",
        source=f"{CHANIN}, section 5",
    )


def tells(arm: str, other: str, words: str, source: str, half: bool = False) -> Claim:
    """A measure tells TopK from another kind by more than luck."""
    on_model = arm.startswith("lm-")
    label, numbers = ALL_LABELS[arm.removeprefix("lm-")], "lm-numbers" if on_model else "numbers"
    return Claim(
        text=(
            f"{begun(f'on SmolLM2 {label}' if on_model else label)} tells TopK from {words}: by "
            "at least 2 deviations of two trainings' difference"
        ),
        of=arm,
        value=deviation_gap(other),
        low=DEVIATIONS,
        unit="deviations of a difference",
        must_fail=(numbers, f"{arm}-twice"),
        must_hold=(f"{numbers}-apart",),
        near={f"{arm}-twice": "two trainings of the same kind differ by as much"},
        also={k: why for k, why in OTHERS.items() if k not in (arm, f"{arm}-half")},
        half={arm: f"{arm}-half"} if half else {},
        threshold_from=TWO,
        published="new",
        source=source,
    )


TOLD_BY_TRAINING = ("probe", "explained")
"""Measures that no training minimises. What does, FVU, tells a longer training by construction, the
less the longer both are: a finding."""
FROM_SOFT = ("lm-fvu", "lm-loss_recovered_mean", "lm-probe", "lm-probe-5", "lm-explained")
FROM_DRAWN = ("lm-probe", "lm-explained")


def smallest(name: str) -> Finding:
    """The largest difference that luck leaves two TopK dictionaries of a language model, in 95 % of
    pairs."""
    return Finding(
        text=(
            "The smallest difference of two TopK dictionaries on SmolLM2 that is not luck: "
            f"{ALL_LABELS[name]}"
        ),
        value=lambda arms: both_moments(arms["lm"], name),
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


def redrawn(name: str) -> Finding:
    """How much of the noise is that of the evaluation's own lots."""

    def value(arms: Arms) -> dict[str, xr.DataArray]:
        data = by(arms["main"][["scores", "redrawn"]]).sel(measure=name, drop=True)
        first, second = (
            data.scores.sel(kind="topk", drop=True).isel(copy=c, drop=True) for c in (0, 1)
        )
        return {"lots": (first - data.redrawn) ** 2, "luck": (first - second) ** 2}

    return Finding(
        text=(
            f"Planted: the variance of {ALL_LABELS[name]} over new rows, concepts and lots, in "
            "shares of that over trainings"
        ),
        value=value,
        statistic=lambda m: m["lots"] / m["luck"],
        unit="share",
        source=f"{CHANIN}, section 3",
    )


def distance(name: str) -> Finding:
    """How far a quarter of the steps lies from all of them."""
    return Finding(
        text=(
            f"Planted: how far {ALL_LABELS[name]} sets TopK apart from itself after a quarter of "
            "the steps"
        ),
        value=lambda arms: deviation_gap(QUARTER)(arms[name], arms),
        unit="deviations of a difference",
        source=f"{CHANIN}, section 4",
    )


def correlated(name: str, kinds: Sequence[str], words: str) -> Finding:
    """A rank correlation without a verdict."""
    return Finding(
        text=f"Rank correlation with the truth {words}: {ALL_LABELS[name]}",
        value=lambda arms: rank_correlation(arms[name], arms, kinds),
        unit="rank correlation",
        natural=(-1, 1),
        source=CHANIN,
    )


def truth_of(kind: str) -> Finding:
    """What a kind found of the planted features."""
    return Finding(
        text=f"Mean F1 with the planted features: {kind}",
        unit="F1",
        value=lambda arms: by(arms["main"][["truth"]]).truth.sel(kind=kind, drop=True).mean("copy"),
    )


CLAIMS = (
    *(order(name) for name in LABELS),
    *(
        tells(
            name, QUARTER, "itself after a quarter of the steps", f"{CHANIN}, section 4", half=True
        )
        for name in TOLD_BY_TRAINING
    ),
    *(tells(name, SOFT, "one whose decoder stays near random rows", SANITY) for name in FROM_SOFT),
    *(tells(name, DRAWN, "one of a model with random weights", UNTRAINED) for name in FROM_DRAWN),
    *(truth_of(kind) for kind in FINISHED),
    *(correlated(name, FINISHED, "over finished dictionaries") for name in ("l0", "dead", "moved")),
    *(
        correlated(name, ("topk", *ALONG), "along TopK's training")
        for name in ("fvu", "recovered", "probe", "explained", "agreement")
    ),
    *(distance(name) for name in ("fvu", "recovered")),
    *(redrawn(name) for name in ("fvu", "probe", "explained")),
    *(smallest(name) for name in ("fvu", "loss_recovered_mean", "probe", "probe-5", "explained")),
)
