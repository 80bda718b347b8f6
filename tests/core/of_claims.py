"""Claims judged on measures made by hand, against arithmetic and SciPy's laws."""

import numpy as np
import xarray as xr

from assay.core.claims import Claim
from assay.core.judging import judge

SEEDS = np.arange(1000, 1008)
NOISE = np.array([-3, 2, -1, 0, 1, -2, 3, 0]) / 100  # spread of eight seeds, mean 0


def of_seeds(x, seeds=SEEDS, **more):
    """An arm with one x for each seed."""
    return xr.Dataset({"x": ("run", x), **more}, coords={"seed": ("run", np.asarray(seeds))})


def arm(level, seeds=SEEDS, spread=1.0, **more):
    x = level + spread * np.resize(NOISE, len(seeds))
    return of_seeds(x, seeds, **more).assign_attrs(width=5)


def claim(**changes):
    base = {
        "text": "x is at least 1",
        "value": lambda arm, arms: arm.x,
        "low": 1.0,
        "must_fail": ("control",),
        "threshold_from": "theory: 1",
        "source": "s",
    }
    return Claim(**{**base, **changes})


def judged(main=1.5, control=0.5, level=0.95, changes=None, **arms):
    return judge(
        claim(**(changes or {})),
        {"main": _arm(main), "control": _arm(control), **{k: _arm(v) for k, v in arms.items()}},
        level,
    )


def _arm(x):
    return x if isinstance(x, xr.Dataset) else arm(x)


CROSSED = {"low": 0.9, "bounds": (0, 1), "units": ("seed", "prompt")}


def crossed(x):
    """An arm of seeds crossed with prompts."""
    x = np.asarray(x, float)
    return xr.Dataset({"x": (("run", "prompt"), x)}, coords={"seed": ("run", np.arange(len(x)))})


def diverged(level, which, value=np.nan, seeds=SEEDS):
    a = arm(level, seeds)
    bad = np.isin(seeds, which)
    return a.assign(x=("run", np.where(bad, value, a.x)), diverged=("run", bad))
