"""The figures of metric-audit."""

from __future__ import annotations

from assay.core import Arms, Figure, figure
from assay_catalogue.experiments.metric_audit.claims import (
    DRAWN,
    LABELS,
    NEAR,
    SOFT,
    deviation_gap,
    rank_correlation,
)
from assay_catalogue.experiments.metric_audit.derived import ON_MODEL
from assay_catalogue.experiments.metric_audit.planted import TRUTHS

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
            note="Over the dictionaries of a world, of one L0 and width; mean and 95 % t interval "
            "over worlds. A claim holds from 0.7 on with both truths. The last three are controls.",
        ),
        *on_model(arms, "SmolLM2", "lm-"),
    ]


def on_model(arms: Arms, model: str, lm: str = "") -> list[Figure]:
    """How far each measure sets dictionaries of a language model apart."""
    return [
        figure(
            f"What each measure can tell apart on {model}",
            "bars",
            {"contrast": "facet", "measure": "x", "mean": "mean"},
            contrasts(arms, lm),
            y_title="distance from TopK in deviations of two trainings",
            note="Mean and 95 % t interval over seeds, the noise taken as known. Below 2 a single "
            "pair does not tell.",
        )
    ]


def correlations(arms: Arms) -> list[tuple]:
    """Rows: the rank correlation of each judge with each truth, mean and 95 % t interval over
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
