"""The figures of mamba-induction."""

from __future__ import annotations

from assay.core import Arms, Figure, by, by_level, figure
from assay.core.sizes import written
from assay_catalogue.experiments.mamba_induction.claims import tuned
from assay_catalogue.experiments.mamba_induction.method import RATE

ARMS = {"main": "whole", "frozen": "time-invariant scan", "no-conv": "no convolution"}


def over_rates(arms: Arms) -> list[tuple]:
    """Rows: share of wrong answers at each learning rate, means over seeds with t intervals."""
    return [
        (rate, values, label)
        for arm, label in ARMS.items()
        for rate, values in by_level(by(arms[arm], "lr").error, "lr")
    ]


def patches(arms: Arms) -> list[tuple]:
    """Rows: what each patch restores of the donor's answer, trained and untrained, at the best
    rate."""
    return [
        (patch, values, label)
        for label, arm in (("trained", "main"), ("untrained", "untrained"))
        for patch, values in by_level(tuned(arms[arm], "restored"), "patch")
    ]


def along_training(arms: Arms) -> list[tuple]:
    """Rows: at each step, the loss of trainings at one rate and the learning coefficient of
    their states, means over seeds with t intervals."""
    rows = []
    for arm, chains, label in (
        ("main", "along", "whole"),
        ("frozen", "along-frozen", "time-invariant scan"),
    ):
        loss = by(arms[arm], "lr").loss.sel(lr=RATE)
        for what, values, dim in (
            ("loss, nats", loss, "step"),
            ("learning coefficient", by(arms[chains]).llc, "moment"),
        ):
            rows += [(what, *point, label) for point in by_level(values, dim)]
    return rows


def figures(arms: Arms) -> list[Figure]:
    """How errors depend on the rate, what patches restore, and the loss and the learning
    coefficient along a training."""
    s = arms["main"].attrs
    return [
        figure(
            "Whole blocks recall best at the middle rate; with a part missing most answers "
            "are wrong",
            "line",
            {"rate": "x", "mean": "mean", "block": "color"},
            over_rates(arms),
            x_title="learning rate",
            y_title="share of wrong answers",
            x_log=True,
            rules=(((s["pairs"] - 1) / s["pairs"], "only the shown values known"),),
            note=f"{written(s['pairs'], 'w pair|pairs').capitalize()} of {s['keys']} keys and "
            f"{s['values']} values; the rate is swept in every arm.",
        ),
        figure(
            "Where a pair is kept: what each patch restores",
            "bars",
            {"patch": "x", "mean": "mean", "network": "color"},
            patches(arms),
            y_title="share of the donor's answer",
        ),
        figure(
            "Along a training: the loss, and the learning coefficient of six states",
            "line",
            {"what": "facet", "step": "x", "mean": "mean", "block": "color"},
            along_training(arms),
            x_title="training step",
            y_title="mean over seeds",
            note=f"At a rate of {RATE}; Langevin chains from the states of six steps; their pull "
            "makes estimates comparable, not absolute.",
        ),
    ]
