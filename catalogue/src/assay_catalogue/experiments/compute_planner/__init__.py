"""Compute planner: whether planned times and planned interval widths come true, and what counts of
FLOP say and do not say.

Group: planning
Paper: Kokotajlo 2021, Fun with +12 OOMs of Compute; Kaplan et al. 2020, Scaling Laws for Neural
Language Models, Table 1
Claim: planned CPU-seconds and interval widths come true within stated factors; a search is 2 FLOP
per parameter and token, not 6
Baselines: constant, one time for every command; tenfold, ten times the FLOP/s; by-n, widths as 1/n;
all-shrinks, no second factor
Cost: 370 s on 2 cores, 680 CPU-seconds, 0.5 GB a process
"""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.core import Arm, Arms, Experiment, reserved
from assay.core.heavy import xr
from assay_catalogue.experiments.compute_planner.claims import CLAIMS, figures
from assay_catalogue.experiments.compute_planner.method import (
    FEW,
    MANY,
    TIMED,
    Planner,
    measure,
    train,
)

DENSITIES = tuple(float(p) for p in np.round(np.geomspace(1, 0.03, 36), 4))


def timings(specs: tuple[Planner, ...]) -> tuple[Planner, ...]:
    """One run for each experiment that is timed; seeds are those of the first run and on."""
    first = specs[0]
    names = list(TIMED)[: first.entries]
    return tuple(
        first.replace(entry=name, density=1.0, seed=first.seed + i) for i, name in enumerate(names)
    )


def tenfold(arms: Arms) -> xr.Dataset:
    """The timed commands as a planner sees them that believes in ten times the FLOP per second."""
    names = [n for n in arms["timed"] if str(n).endswith(("_low", "_high"))]
    return arms["timed"].assign({n: arms["timed"][n] / 10 for n in names})


def average_for_all(arms: Arms) -> xr.Dataset:
    """The timed commands as a planner sees them that knows nothing of any: each takes what all of
    them take on average."""
    timed_arm = arms["timed"]
    same = {what: float(np.exp(np.log(timed_arm[what]).mean())) for what in ("cpu", "seconds")}
    return timed_arm.assign(
        {
            f"{what}_{end}": timed_arm[what] * 0 + x
            for what, x in same.items()
            for end in ("low", "high")
        }
    )


def shrinking_with_n(arms: Arms) -> xr.Dataset:
    """Widths of toys alone, planned as if they fell with 1/n."""
    main = arms["main"][["seeds_planned", "seeds_actual"]]
    return main.assign(seeds_planned=main.seeds_planned * (FEW / MANY) ** 0.5)


def all_parts_shrink(arms: Arms) -> xr.Dataset:
    """Widths planned as if more toys narrowed the part of the blocks as well."""
    main = arms["main"][["crossed_planned", "crossed_actual", "crossed_naive"]]
    return main.assign(crossed_planned=main.crossed_naive)


def worlds(first: int, count: int, **fields: Any) -> tuple[Planner, ...]:
    """One run for each density, each with a seed of its own."""
    return tuple(
        Planner(density=p, seed=first + i, **fields) for i, p in enumerate(DENSITIES[:count])
    )


ARMS = {
    "main": Arm(
        train,
        specs=reserved("entry"),
        note="{main.toys} toys for each density: what the intervals of 24 will be, planned from 6",
    ),
    "timed": Arm(
        train,
        specs=timings,
        note=(
            "commands of this program at {timed.sizes:w size|sizes}, each planned first, in an "
            "empty store"
        ),
    ),
    "constant": Arm(
        derive=average_for_all,
        note="a planner that knows nothing: for each command the geometric mean of what all took",
    ),
    "tenfold": Arm(derive=tenfold, note="a planner that believes in ten times the FLOP per second"),
    "by-n": Arm(derive=shrinking_with_n, note="a planner whose widths of toys fall with 1/n"),
    "all-shrinks": Arm(
        derive=all_parts_shrink, note="a planner that forgets the factor that is not bought"
    ),
}
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    scope="{trainings}",
    smoke=worlds(0, 2, toys=48, steps=20, entries=1, sizes=1),
    default=worlds(63440, 36),
    seeds_per_group=1,
    measured=3,  # sgd-noise has other commands
)
