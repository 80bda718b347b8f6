"""Schedules: factors on a rate as functions of the step, and the steps at which to look."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Schedule = Callable[[int], float]


def constant(step: int) -> float:
    """The factor 1 at every step."""
    return 1.0


def warm_up(steps: int) -> Schedule:
    """A factor that rises linearly from 1/steps at step 0 to 1, and stays."""
    return lambda step: min(1.0, (step + 1) / steps) if steps > 0 else 1.0


def warm_up_decay(total: int, warm: int, decay: float, floor: float = 0.0) -> Schedule:
    """Linear warm-up over `warm` steps, 1 in the middle, then linear decay to `floor` over the last
    share `decay` of `total` steps."""
    start = total * (1.0 - decay)
    up = warm_up(warm)

    def factor(step: int) -> float:
        if step < start or decay <= 0.0:
            return up(step)
        return up(step) * (floor + (1.0 - floor) * max(0.0, (total - step) / (total - start)))

    return factor


def cosine(total: int, warm: int, floor: float = 0.0) -> Schedule:
    """Linear warm-up over `warm` steps times half a cosine from 1 at step 0 to `floor` at step
    `total`."""
    up = warm_up(warm)
    return lambda step: (
        up(step) * (floor + (1 - floor) * (1 + math.cos(math.pi * min(1.0, step / total))) / 2)
    )


def probes(total: int, count: int = 20, log: bool = False) -> tuple[int, ...]:
    """`count` steps between 1 and `total`, evenly or logarithmically spread; duplicates removed."""
    steps = np.geomspace(1, total, count) if log else np.linspace(total / count, total, count)
    return tuple(sorted({round(a) for a in steps if a >= 1}))
