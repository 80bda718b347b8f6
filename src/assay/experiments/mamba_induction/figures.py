"""The figures of mamba-induction."""

from __future__ import annotations

from assay.core import Arms
from assay.core.figures import Figure, columns, summary
from assay.core.measures import by
from assay.core.sizes import written
from assay.experiments.mamba_induction.claims import tuned
from assay.experiments.mamba_induction.method import RATE

ARMS = {"main": "whole", "frozen": "time-invariant scan", "no-conv": "no convolution"}


def over_rates(arms: Arms) -> dict[str, list]:
    """Columns: share of wrong answers at each learning rate, means over seeds with t intervals."""
    errors = ((label, by(arms[arm], "lr").error) for arm, label in ARMS.items())
    return columns(
        ("rate", "mean", "low", "high", "block"),
        (
            (float(rate), *summary(error.sel(lr=rate).values), label)
            for label, error in errors
            for rate in error.lr.values
        ),
    )


def patches(arms: Arms) -> dict[str, list]:
    """Columns: what each patch restores of the donor's answer, trained and untrained, at the best
    rate."""
    rows = (
        (label, tuned(arms[arm], "restored"))
        for label, arm in (("trained", "main"), ("untrained", "untrained"))
    )
    return columns(
        ("patch", "mean", "low", "high", "network"),
        (
            (str(patch), *summary(share.sel(patch=patch).values), label)
            for label, share in rows
            for patch in share.patch.values
        ),
    )


def along_training(arms: Arms) -> dict[str, list]:
    """Columns: at each step, the loss of trainings at one rate and the learning coefficient of
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
            rows += [
                (what, int(step), *summary(values.sel({dim: step}).values), label)
                for step in values[dim].values
            ]
    return columns(("what", "step", "mean", "low", "high", "block"), rows)


def figures(arms: Arms) -> list[Figure]:
    """How errors depend on the rate, what patches restore, and the loss and the learning
    coefficient along a training."""
    s = arms["main"].attrs
    return [
        Figure(
            (
                "Whole blocks recall best at the middle rate; with a part missing most answers "
                "are wrong"
            ),
            over_rates(arms),
            "line",
            x="rate",
            y="mean",
            color="block",
            band=("low", "high"),
            x_title="learning rate",
            y_title="share of wrong answers",
            x_log=True,
            rules=(((s["pairs"] - 1) / s["pairs"], "only the shown values known"),),
            note=f"{written(s['pairs'], 'w pair|pairs').capitalize()} of {s['keys']} keys and "
            f"{s['values']} values; the rate is swept in every arm.",
        ),
        Figure(
            "Where a pair is kept: what each patch restores",
            patches(arms),
            "bars",
            x="patch",
            y="mean",
            color="network",
            band=("low", "high"),
            y_title="share of the donor's answer",
        ),
        Figure(
            "Along a training: the loss, and the learning coefficient of six states",
            along_training(arms),
            "line",
            x="step",
            y="mean",
            color="block",
            facet="what",
            band=("low", "high"),
            x_title="training step",
            y_title="mean over seeds",
            note=(
                f"At a rate of {RATE}; Langevin chains from the states of six steps; their pull "
                "makes estimates comparable, not absolute."
            ),
        ),
    ]
