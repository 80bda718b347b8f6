"""Frontiers: what experiments measure of dictionaries per run and document, and the ratios of those
sums that claims are about.

A claim's terms are sums over documents, so that every FVU, γ or L0 is a ratio of resampled sums and
never a mean of ratios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from assay.core.arrays import ratio_or_nan
from assay.core.experiment import Arm, Arms
from assay.core.figures import Channel, Figure, Mark, figure, summary
from assay.core.heavy import torch, xr
from assay.core.measures import by
from assay.core.stats import Statistic
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
EARLIER: Statistic = measures.Measure(
    "gamma_v1",
    "earlier form of γ",
    "1",
    "E[(x̂ − x̄)·(x − x̄)] / E‖x − x̄‖²",
    "neither",
    ("dot", "variance"),
    ratio_or_nan,
    -math.inf,
).statistic
"""An earlier, wrong form of γ, which takes any error for shrinkage."""
norm_ratio: Statistic = measures.NORM_RATIO.statistic


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


CORNERS = ("half as long", "in full", "3 × as wide, half as long")
"""Where two methods are compared: along training length at the preset's width, and along width at
half the length."""


def over_l0(
    arms: Arms,
    title: str,
    series: Sequence[tuple[str, str, Statistic]],
    mark: Mark = "line",
    sweep: str = "penalty",
    **options: Any,
) -> Figure:
    """A figure over L0: for each (label, arm, quantity) its mean over seeds at each point of the
    sweep, with its t interval."""
    rows = []
    for label, name, quantity in series:
        if name in arms:
            total = by(arms[name], sweep).sum("document")
            terms = {term: total[term].transpose("seed", sweep).values for term in SUMS}
            l0, values = (statistic(terms) for statistic in (L0, quantity))
            rows += [(label, summary(x)[0], y) for x, y in zip(l0.T, values.T, strict=True)]
    channels: Mapping[str, Channel] = {"arm": "color", "L0": "x", "mean": "mean"}
    return figure(title, mark, channels, rows, x_log=True, **options)


def side_by_side(
    half: str, full: str, broad: str, only: Callable[[xr.Dataset], xr.Dataset] = lambda arm: arm
) -> Arm:
    """An arm derived from three: their sums at each of `CORNERS`, of what `only` leaves of each."""

    def derive(arms: Arms) -> xr.Dataset:
        parts = []
        for corner, name in enumerate((half, full, broad)):
            arm = only(arms[name])
            dataset = arm[[v for v in (*FRONTIER, "diverged") if v in arm]].reset_coords(drop=True)
            parts.append(
                dataset.assign_coords(
                    seed=("run", arm.seed.values), corner=("run", np.full(len(arm.seed), corner))
                )
            )
        return xr.concat(parts, "run", combine_attrs="drop_conflicts")

    return Arm(derive=derive, note=f"`{half}`, `{full}` and `{broad}` side by side")
