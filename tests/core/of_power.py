"""Power: shares have that of the binomial law."""

import dataclasses

import numpy as np
import xarray as xr

from assay.core.claims import Claim

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
