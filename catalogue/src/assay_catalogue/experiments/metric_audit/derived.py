"""Arms that are made of the panels: one measure as if it were the judge of dictionaries, and judges
that must fail or must succeed.

Each has `score` [run, kind, …, copy], turned so that higher claims to be better, and on planted
worlds `truths` beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.core import Arms, Derive
from assay.core.heavy import scipy, xr
from assay.train import rng

HIGHER = {
    "fvu": -1,
    "recovered": 1,
    "probe": 1,
    "explained": 1,
    "agreement": 1,
    "absorption": -1,
    "l0": -1,
    "moved": 1,
    "rate": 1,
}
"""Measures of the planted population; 1 where more is better by the measure's own account, −1 where
less is."""
ON_MODEL = {"fvu": -1, "probe": 1, "explained": 1}
"""Those of the panel on a language model."""
NOISE = 0.1
"""Of the noisy truth: its noise, in standard deviations of the mean rank."""
PLANTED_GAP = 10.0
"""Of the planted difference: by how many standard deviations of random numbers the worse kinds are
lowered."""


def judged(data: xr.Dataset, score: xr.DataArray) -> xr.Dataset:
    """A panel with this score alone, and the truths where there are any."""
    names = [name for name in ("truths", "diverged") if name in data]
    return data[names].drop_vars("measure", errors="ignore").assign(score=score.rename("score"))


def measure_of(arm: str, name: str, sign: int) -> Derive:
    """One measure of a panel as the judge."""
    return lambda arms: judged(arms[arm], sign * arms[arm].scores.sel(measure=name, drop=True))


def numbers(arm: str, above: Sequence[str] = ()) -> Derive:
    """Random numbers as the judge; with a planted difference where TopK lies above some other
    kinds."""

    def derive(arms: Arms) -> xr.Dataset:
        data = arms[arm]
        plain = data.scores.isel(measure=0, drop=True)
        score = plain.copy(
            data=rng.normal(data.seed.values, f"metric-audit.numbers-{arm}", 0, plain.shape[1:])
        )
        return judged(data, score - PLANTED_GAP * score.kind.isin(list(above)))

    return derive


def elsewhere(name: str) -> Derive:
    """A measure of the dictionaries of the next world in the place of these: it knows of each its
    kind and recipe, and nothing else."""

    def derive(arms: Arms) -> xr.Dataset:
        data = measure_of("main", name, HIGHER[name])(arms)
        return judged(data, data.score.copy(data=np.roll(data.score.values, -1, 0)))

    return derive


def noisy(arms: Arms) -> xr.Dataset:
    """The mean rank of a dictionary by both truths, with a little noise, as the judge."""
    data = arms["main"]
    shape = data.truths.shape[1:-1]
    ranks = scipy.stats.rankdata(data.truths.values.reshape(len(data.seed), -1, 2), axis=1)
    middle = ranks.mean(-1).reshape(-1, *shape)
    noise = rng.normal(data.seed.values, "metric-audit.noisy", 0, shape)
    score = middle + NOISE * middle.std() * noise
    return judged(data, data.scores.isel(measure=0, drop=True).copy(data=score))


def twice(arm: str, name: str, kinds: Sequence[str]) -> Derive:
    """A measure on a language model where TopK's second training stands in the place of every other
    of these kinds: no difference but luck."""

    def derive(arms: Arms) -> xr.Dataset:
        data = measure_of(arm, name, ON_MODEL[name])(arms)
        second = data.score.sel(kind="topk", drop=True).isel(copy=slice(None, None, -1))
        swapped = data.score.where(~data.score.kind.isin(list(kinds)), second.values[:, None])
        return data.assign(score=swapped)

    return derive
