"""The figures of metric-audit."""

from __future__ import annotations

from assay.core import Arms, Figure, columns, summary
from assay.experiments.metric_audit.claims import (
    DRAWN,
    FROM_DRAWN,
    FROM_SOFT,
    LABELS,
    QUARTER,
    SOFT,
    TOLD_BY_TRAINING,
    deviation_gap,
    rank_correlation,
)
from assay.experiments.metric_audit.planted import FINISHED

SHORT = {
    "fvu": "FVU",
    "recovered": "loss recovered",
    "loss_recovered_mean": "loss recovered",
    "probe": "probe, 1 feature",
    "probe-5": "probe, 5 features",
    "explained": "explanations",
    "absorption": "absorption",
    "split": "splitting",
    "agreement": "agreement",
    "mmcs": "MMCS",
    "l0": "L0",
    "moved": "rows moved",
    "numbers": "random numbers",
    "noisy-truth": "truth + noise",
}
BESIDE = ("l0", "moved", "numbers", "noisy-truth")


def figures(arms: Arms) -> list[Figure]:
    return [
        Figure(
            "Which measure orders dictionaries as the planted truth does",
            correlations(arms),
            "bars",
            x="measure",
            y="mean",
            band=("low", "high"),
            x_title="",
            y_title="rank correlation with the truth",
            note="Over 28 finished dictionaries of each world; mean and 95 % t interval over "
            "worlds. A claim holds from 0.7 on. The last four "
            "are controls.",
        ),
        Figure(
            "Each measure against the truth, by kind of dictionary",
            clouds(arms),
            "points",
            x="truth",
            y="score",
            color="kind",
            facet="measure",
            x_title="mean F1 with the planted features",
            y_title="the measure, turned so that higher claims to be better",
            note="Means over worlds and copies.",
        ),
        Figure(
            "What each measure can tell apart",
            contrasts(arms),
            "bars",
            x="measure",
            y="mean",
            facet="contrast",
            band=("low", "high"),
            x_title="",
            y_title="distance from TopK in deviations of two trainings",
            note=(
                "Mean and 95 % t interval over seeds, the noise taken as known. Below 2 a single "
                "pair does not tell."
            ),
        ),
    ]


def correlations(arms: Arms) -> dict[str, list]:
    """Columns: the rank correlation of each judge with the truth, mean and 95 % t interval over
    worlds."""
    rows = [
        (SHORT[name], *summary(rank_correlation(arms[name], arms).values))
        for name in (*LABELS, *BESIDE)
        if name in arms
    ]
    return columns(("measure", "mean", "low", "high"), rows)


def clouds(arms: Arms) -> dict[str, list]:
    """Columns: truth and score of each finished kind by each measure, means over worlds and
    copies."""
    rows = []
    for name in (n for n in LABELS if n in arms):
        means = arms[name][["truth", "score"]].mean(("run", "copy"))
        rows += [
            (
                kind,
                SHORT[name],
                float(means.truth.sel(kind=kind)),
                float(means.score.sel(kind=kind)),
            )
            for kind in FINISHED
        ]
    return columns(("kind", "measure", "truth", "score"), rows)


def contrasts(arms: Arms) -> dict[str, list]:
    """Columns: how far each measure sets TopK apart from three others, in deviations of the
    difference of two trainings."""
    comparisons = [
        ("planted: after 1/4", QUARTER, ("fvu", "recovered", *TOLD_BY_TRAINING)),
        ("SmolLM2: soft-frozen", SOFT, FROM_SOFT),
        ("SmolLM2: random weights", DRAWN, FROM_DRAWN),
    ]
    rows = []
    for words, other, names in comparisons:
        for name in (n for n in names if n in arms):
            rows.append(
                (
                    words,
                    SHORT[name.removeprefix("lm-")],
                    *summary(deviation_gap(other)(arms[name], arms).values),
                )
            )
    return columns(("contrast", "measure", "mean", "low", "high"), rows)
