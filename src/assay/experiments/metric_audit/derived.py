"""Arms that are made of the panels: one measure as if it were the judge of dictionaries, and judges
that must fail or must succeed.

Each has `score` [run, kind, copy], turned so that higher claims to be better, and on planted worlds
`truth` beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.core import Arms, Derive, rng
from assay.core.heavy import xr

HIGHER = {
    "fvu": -1,
    "recovered": 1,
    "probe": 1,
    "explained": 1,
    "absorption": -1,
    "split": -1,
    "agreement": 1,
    "mmcs": 1,
    "l0": -1,
    "dead": -1,
    "moved": 1,
}
"""Measures of the planted panel; 1 where more is better by the measure's own account, −1 where less
is."""
ON_MODEL = {"fvu": -1, "loss_recovered_mean": 1, "probe": 1, "probe-5": 1, "explained": 1}
"""Those of the panel on a language model."""
NOISE = 0.1
"""Of the noisy truth: its noise, in standard deviations of the truth over finished kinds."""
PLANTED_GAP = 10.0
"""Of the planted difference: by how many standard deviations of random numbers the worse kinds are
lowered."""


def judged(data: xr.Dataset, score: xr.DataArray) -> xr.Dataset:
    """A panel with this score alone, and the truth where there is one."""
    names = [name for name in ("truth", "diverged") if name in data]
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
        if not above:
            return judged(data, score)
        lowered = xr.where(score.kind.isin(list(above)), PLANTED_GAP, 0.0)
        return judged(data, score - lowered)

    return derive


def noisy(arms: Arms) -> xr.Dataset:
    """The truth with a little noise of its own as the judge."""
    data = arms["main"]
    noise = rng.normal(data.seed.values, "metric-audit.noisy", 0, data.truth.shape[1:])
    return judged(data, data.truth + NOISE * float(data.truth.std()) * noise)


def twice(arm: str, name: str, sign: int, kinds: Sequence[str]) -> Derive:
    """A measure where TopK's second training stands in the place of every other of these kinds: no
    difference but luck."""

    def derive(arms: Arms) -> xr.Dataset:
        data = measure_of(arm, name, sign)(arms).drop_vars("truth", errors="ignore")
        score = data.score
        second = score.sel(kind="topk").isel(copy=slice(None, None, -1)).values[:, None]
        return data.assign(
            score=score.copy(
                data=np.where(
                    score.kind.isin(list(kinds)).values[None, :, None], second, score.values
                )
            )
        )

    return derive
