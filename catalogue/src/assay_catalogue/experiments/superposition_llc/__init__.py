"""Superposition by stages: where training of a toy model stands still, and how complex each state
is.

Group: training
Paper: Dynamical versus Bayesian Phase Transitions in a Toy Model of Superposition, Chen et al. 2023
Claim: training ends at polygons of known loss; a finite sample, not noise, carries it from squares
to pentagons, at equal complexity
Baselines: random losses; linear, without ReLU; noise without a finite sample; trainings that stay;
chains held too tightly; estimates dealt anew
Cost: 57 s on 2 cores, 110 CPU-seconds, 0.5 GB a process
"""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.core import Arm, Arms, Derive, Experiment, SpecMap, changed, grid, reserved, variant
from assay.core.heavy import xr
from assay.train import rng
from assay_catalogue.experiments.superposition_llc.claims import CLAIMS, STATES, falling
from assay_catalogue.experiments.superposition_llc.method import (
    SuperpositionLLC,
    chains_at_ends,
    measure,
    measure_chains,
    measure_passages,
    train,
)
from assay_catalogue.worlds.bottleneck import polygons


def random_levels(arms: Arms) -> xr.Dataset:
    """main, with final losses drawn evenly between .04 and .30."""
    arm = arms["main"]
    losses = 0.04 + 0.26 * rng.uniform(arm.seed.values, "superposition-llc.random", 0, ()).astype(
        float
    )
    return arm.assign(off=("run", polygons.nearest(losses, arm.attrs["columns"])[-1]))


def dealt_anew(source: str, name: str) -> Derive:
    """An arm of chains, with this measure dealt to other runs at random."""

    def derived(arms: Arms) -> xr.Dataset:
        arm = arms[source]
        order = rng.permutation(np.array([0]), f"superposition-llc.{source}", 0, arm.sizes["run"])[
            0
        ]
        return arm.assign({name: arm[name].copy(data=arm[name].values[order])})

    return derived


def remained(arms: Arms) -> xr.Dataset:
    """passing, of the trainings that did not pass: the state half way in the place of one that was
    left."""
    return arms["passing"].assign(left=~arms["passing"].left)


def exchanged(arms: Arms) -> xr.Dataset:
    """passing, where the state that each training left is that of another training which left
    one."""
    arm = arms["passing"].copy(deep=True)
    runs = np.flatnonzero(arm.left.values)
    order = rng.permutation(np.array([0]), "superposition-llc.exchanged", 0, len(runs))[0]
    for name in ("llc", "sides", "positive"):
        arm[name].values[runs, 1] = arm[name].values[runs[order], 1]
    return arm


def twice_the_seeds(**changes: Any) -> SpecMap[SuperpositionLLC]:
    """The specs with these changes, and twice as many seeds."""

    def specs(main: tuple[SuperpositionLLC, ...]) -> tuple[SuperpositionLLC, ...]:
        seeds = sorted({s.seed for s in main})
        return grid(main[0].replace(**changes), seed=range(seeds[0], seeds[0] + 2 * len(seeds)))

    return specs


wide = twice_the_seeds(start=1.0, bias=1.0)


def squares(
    seeds: SpecMap[SuperpositionLLC] = lambda main: main, **changes: Any
) -> SpecMap[SuperpositionLLC]:
    """The specs with these changes that start from squares, for twice as many steps."""

    def specs(main: tuple[SuperpositionLLC, ...]) -> tuple[SuperpositionLLC, ...]:
        for (
            name
        ) in STATES:  # refused before training where there are too few columns to pass to them
            polygons.parse_state(name, main[0].columns)
        return changed(around="4", start=0.01, bias=0.01, steps=2 * main[0].steps, **changes)(
            seeds(main)
        )

    return specs


def finer(specs: tuple[SuperpositionLLC, ...]) -> tuple[SuperpositionLLC, ...]:
    """Half the step, twice as many of them."""
    return tuple(s.replace(step=s.step / 2, draws=2 * s.draws, burn=2 * s.burn) for s in specs)


ARMS = {
    "main": Arm(
        train,
        specs=reserved("around", "data", "passing", "replicate"),
        note="gradient descent on the expected loss, six columns, weights near 0 at the start",
    ),
    "main-half": Arm(train, specs=variant(times={"steps": 0.5}), note="main, half as long"),
    "wide": Arm(
        train,
        specs=wide,
        note="the same from weights and biases of standard deviation 1, twice as many seeds",
    ),
    "wide-half": Arm(
        train,
        specs=lambda specs: variant(times={"steps": 0.5})(wide(specs)),
        note="wide, half as long",
    ),
    "linear": Arm(
        train, specs=changed(relu=False), note="main without ReLU: it stops at a level of its own"
    ),
    "random": Arm(
        derive=random_levels,
        note="main, with final losses drawn evenly from .04 to .30",
        learned=(),
    ),
    "ends": Arm(
        chains_at_ends,
        measure=measure_chains,
        after="wide",
        note="chains at the ends of wide, which have two to six sides",
    ),
    "ends-fine": Arm(
        chains_at_ends,
        measure=measure_chains,
        specs=finer,
        after="wide",
        note="half the chains' step, twice the draws",
    ),
    "pulled": Arm(
        chains_at_ends,
        measure=measure_chains,
        specs=changed(localisation=3e3, replicate=3),
        after="wide",
        note="chains at the ends of wide, held {tight} times as tight",
    ),
    "dealt": Arm(
        derive=dealt_anew("ends", "llc"),
        note="ends, estimates dealt to other seeds",
        learned=("training",),
    ),
    "sampled": Arm(
        train,
        measure=measure_passages,
        specs=squares(twice_the_seeds(), data=1_000, batch=20),
        note="from squares, on 1,000 inputs in batches of 20",
    ),
    "calm": Arm(
        train,
        measure=measure_passages,
        specs=squares(data=1_000, batch=100),
        note="the same in batches of 100: the same sample, a fifth of the noise",
    ),
    "plenty": Arm(
        train,
        measure=measure_passages,
        specs=squares(data=50_000, batch=20),
        note="the same noise on fifty times as many inputs",
    ),
    "still": Arm(
        train,
        measure=measure_passages,
        specs=squares(),
        note="from squares, on the expected loss: no sample and no noise",
    ),
    "passing": Arm(
        chains_at_ends,
        measure=measure_chains,
        specs=changed(passing=True),
        after="sampled",
        note="chains at the end of sampled, and at the state it left last",
    ),
    "remained": Arm(
        derive=remained,
        note="passing, of the trainings that did not pass: their state half way, and at the end",
    ),
    "exchanged": Arm(
        derive=exchanged,
        note="passing, where the state left is that of another training",
        # All that is estimated there was trained; only which state was left for which end is not.
        learned=("training", "estimates"),
    ),
}
experiment = Experiment(
    version=2,
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=lambda arms: [falling(arms["main"])],
    scope="{columns} columns in two dimensions, one-hot inputs; chains on the expected loss",
    seeds_per_group=128,
    frozen={"columns": 'what is said of "six columns" and their states'},
    sizes={
        "tight": lambda sizes: (
            sizes("pulled", "localisation")[0] / sizes("ends", "localisation")[0]
        ),
        "points": lambda sizes: (
            "a million" if (n := sizes("ends", "samples")[0]) == 1_000_000 else f"{n:,}"
        ),
    },
    smoke=grid(SuperpositionLLC(steps=300, draws=200, burn=100), seed=range(8)),
    default=grid(SuperpositionLLC(), seed=range(4000, 4064)),
)
