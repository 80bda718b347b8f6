"""Rounding: numbers of two passes over the same prompts differ in their last digits, and that is no
difference."""

import msgspec
import numpy as np
import xarray as xr

from assay.ask.text import ClaimEntry
from assay.ask.wording import claim, condition
from assay.core.judging import judge


def test_what_changes_nothing_fails_though_numbers_of_two_passes_round_otherwise():
    """log P of an arm and of the model as it is, from batches of other shapes."""
    rng = np.random.default_rng(0)
    shape = (8, 40)
    log_p = rng.normal(-5, 1, shape)
    noisy = log_p * (1 + rng.integers(-3, 4, shape) * 2.0**-23)
    dims = ("run", "prompt")
    coords = {"seed": ("run", np.arange(1000, 1008))}
    arms = {
        name: xr.Dataset({"good": (dims, x)}, coords)
        for name, x in {"main": log_p, "cut": noisy, "half": noisy - 0.5, "again": log_p}.items()
    }
    said = ClaimEntry(
        text="It falls",
        holds="cut.good - main.good < -0.3",
        units=("seed", "prompt"),
        control=("again",),
    )
    for arm, outcome in (("cut", "fails"), ("half", "holds")):
        text = said.holds.replace("cut", arm)
        of = claim(msgspec.structs.replace(said, holds=text), arm, condition(text))
        verdict = judge(of, arms)
        assert verdict.outcome == outcome, verdict.reason
