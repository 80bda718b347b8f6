"""Power: shares have that of the binomial law."""

import dataclasses
import math

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom

from assay.core.claims import Claim
from assay.core.judging import judge

LOW = 1.0


def claim(**fields):
    base = Claim(
        text="x is at least 1",
        value=lambda arm, arms: arm.x,
        low=LOW,
        must_fail=("none",),
        threshold_from="theory: one",
        source="here",
    )
    return dataclasses.replace(base, **fields)


def arm(x):
    """An arm of these units: [seed], or [seed, document]."""
    x = np.asarray(x, float)
    dims = ("run", "document")[: x.ndim]
    return xr.Dataset({"x": (dims, x)}, coords={"seed": ("run", np.arange(len(x)))})


def test_shares_have_the_power_of_the_binomial_law():
    half = claim(low=0.5, bounds=(0, 1))
    arms = {"main": arm(np.arange(8) < 7), "none": arm(np.zeros(8))}
    v = judge(half, arms).verdict
    # the contrast with seven of eight, by the normal law
    assert 0.95 < v.controls_chance < 1
    # all eight have to be right
    assert binom.sf(7, 8, v.detectable_alone[0]) == pytest.approx(0.8)
    assert v.detectable[0] == pytest.approx(v.detectable_alone[0], abs=0.01)
    unsure = judge(half, {**arms, "none": arm(np.arange(8) < 1)}).verdict
    # up to one of eight right, 80 % limits lie below one half (binom.cdf(1, 8, .406) = .1)
    assert 0.9 * binom.cdf(1, 8, 1 / 8) < unsure.controls_chance <= binom.cdf(1, 8, 1 / 8)
    assert math.isnan(unsure.detectable[0])
    assert unsure.detectable_alone == v.detectable_alone
