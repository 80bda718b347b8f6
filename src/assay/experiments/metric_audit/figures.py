"""The figures of metric-audit."""

from __future__ import annotations

from assay.core import Arms, Figure, columns, summary
from assay.core.measures import by
from assay.experiments.metric_audit.claims import (
    DRAWN,
    LABELS,
    NEAR,
    SOFT,
    deviation_gap,
    rank_correlation,
)
from assay.experiments.metric_audit.derived import ON_MODEL
from assay.experiments.metric_audit.planted import TRUTHS

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
        Figure(
            "Which measure orders dictionaries as the planted truths do",
            correlations(arms),
            "bars",
            x="measure",
            y="mean",
            facet="truth",
            band=("low", "high"),
            x_title="",
            y_title="rank correlation with the truth",
            note="Over the dictionaries of a world, of one L0 and width; mean and 95 % t interval "
            "over worlds. A claim holds from 0.7 on with both truths. The last three are controls.",
        ),
        Figure(
            "Each measure against the truth, in the first world",
            clouds(arms),
            "points",
            x="truth",
            y="score",
            color="kind",
            facet="measure",
            x_title="mean F1 with the planted features",
            y_title="the measure, turned so that higher claims to be better",
        ),
        Figure(
            "What each measure can tell apart on SmolLM2",
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
    """Columns: the rank correlation of each judge with each truth, mean and 95 % t interval over
    worlds."""
    rows = [
        (SHORT[name], truth, *summary(rho.sel(truth=truth).values))
        for name in (*LABELS, *NEAR)
        if name in arms
        for rho in rank_correlation(arms[name], arms).values()
        for truth in TRUTHS
    ]
    return columns(("measure", "truth", "mean", "low", "high"), rows)


def clouds(arms: Arms) -> dict[str, list]:
    """Columns: F1 and score of each dictionary of one world by each measure, means over copies."""
    rows = []
    for name in (n for n in LABELS if n in arms):
        world = by(arms[name][["truths", "score"]]).isel(seed=0).mean("copy")
        rows += [
            (str(kind), SHORT[name], float(truth), float(score))
            for kind in world.kind.values
            for truth, score in zip(
                world.truths.sel(kind=kind, truth=TRUTHS[0]).values,
                world.score.sel(kind=kind).values,
                strict=True,
            )
        ]
    return columns(("kind", "measure", "truth", "score"), rows)


def contrasts(arms: Arms) -> dict[str, list]:
    """Columns: how far each measure sets TopK apart from two others, in deviations of the
    difference of two trainings."""
    rows = [
        (words, SHORT[name], *summary(deviation_gap(other)(arms[f"lm-{name}"], arms).values))
        for words, other, names in (
            ("soft-frozen", SOFT, ON_MODEL),
            ("random weights", DRAWN, ("probe", "explained")),
        )
        for name in names
        if f"lm-{name}" in arms
    ]
    return columns(("contrast", "measure", "mean", "low", "high"), rows)
