"""Frontiers: what experiments measure of dictionaries per run and document, and the ratios of those
sums that claims are about.

A claim's terms are sums over documents, so that every FVU, γ or L0 is a ratio of resampled sums and
never a mean of ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from assay.core.experiment import Arms
from assay.core.figures import columns, summary
from assay.core.heavy import torch, xr
from assay.core.measures import by
from assay.core.stats import Means, Statistic, largest
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring import measures
from assay.dictionaries.measuring.sums import document_sums

SUMS = {name: unit for name, unit in measures.SUMS.items() if name != "square_raw"}
"""What experiments store of every document, with units: all sums but ‖x‖², which none of their
claims is about."""

FRONTIER = (*measures.FVU.terms, *measures.L0.terms)
"""The terms of FVU and L0."""

FVU: Statistic = measures.FVU.statistic
L0: Statistic = measures.L0.statistic
GAMMA: Statistic = measures.GAMMA.statistic
EARLIER: Statistic = measures.EARLIER.statistic
norm_ratio: Statistic = measures.NORM_RATIO.statistic


def worst(statistic: Statistic) -> Statistic:
    """A statistic: the largest value of another along the sweep; two arms are compared at each
    point."""
    return largest(statistic)


def document_measures(
    dictionary: Dictionary,
    test: Harvest,
    change: Callable[[torch.Tensor], torch.Tensor] = lambda x: x,
) -> tuple[dict[str, tuple[str, Any, str]], dict[str, Sequence]]:
    """Variables and coordinates for `measures`: the sums of every run and test document, and each
    feature's density.

    `change` is applied to the normalised test activations first, for a control such as shuffled
    coordinates."""

    files, document = np.unique(test.document[test.kept], return_inverse=True)
    x = change(test.rows(test.kept)).to(dictionary.W_enc.device)
    sums = document_sums(
        dictionary.normalised,
        x,
        document,
        len(files),
        x.mean(0, dtype=torch.float64),
        origin=-test.mean * test.scale,
    )
    variables: dict[str, tuple[str, Any, str]] = {
        name: ("run document", sums[name], unit) for name, unit in SUMS.items()
    }
    variables["density"] = ("run feature", sums["firings"] / len(test.kept), "share of tokens")
    return variables, {"document": [test.files[f] for f in files]}


def sums(
    arm: xr.Dataset,
    *names: str,
    sweep: str = "penalty",
    position: int | Literal["middle"] | None = None,
) -> dict[str, xr.DataArray]:
    """Terms {name: [seed, sweep, document]}; `at` keeps one place of the sweep, by index or the
    middle one."""
    data = by(arm[list(names)], sweep)  # these alone: an arm may have dozens of measures
    if position is not None:
        data = data.isel({sweep: [data.sizes[sweep] // 2 if position == "middle" else position]})
    return {str(name): x for name, x in data.data_vars.items()}


def over_l0(
    arms: Arms, series: Sequence[tuple[str, str, Statistic]], sweep: str = "penalty"
) -> dict[str, list]:
    """Columns of a figure over L0: for each (label, arm, quantity) the mean and 95 % t interval
    over seeds along the sweep."""
    return columns(
        ("arm", "L0", "mean", "low", "high"),
        (
            (label, x, *values)
            for label, name, quantity in series
            if name in arms
            for (x, *_), values in zip(
                _points(arms[name], L0, sweep), _points(arms[name], quantity, sweep), strict=True
            )
        ),
    )


def _points(
    arm: xr.Dataset, statistic: Callable[[Means], np.ndarray], sweep: str
) -> list[tuple[float, float, float]]:
    total = by(arm, sweep).sum("document")
    values = statistic({name: total[name].transpose("seed", sweep).values for name in SUMS})
    return [summary(values[:, i]) for i in range(values.shape[1])]


def history(
    arms: Arms, names: Sequence[str], series: str = "loss", sweep: str = "penalty"
) -> dict[str, list]:
    """Columns of a figure of training: a series over steps at the middle of each arm's sweep, mean
    and 95 % t interval over seeds."""
    rows: list[tuple] = []
    for name in names:
        if name in arms and series in arms[name]:
            values = by(arms[name], sweep)[series]
            values = values.isel({sweep: values.sizes[sweep] // 2})
            rows += [
                (name, step, *summary(values.sel(step=step).values))
                for step in values.step.values.tolist()
            ]
    return columns(("arm", "step", series, "low", "high"), rows)
