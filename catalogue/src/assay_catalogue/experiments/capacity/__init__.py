"""Capacity: how a narrow model shares its dimensions among features, and what more of them would be
worth.

Group: toys
Paper: Polysemanticity and Capacity in Neural Networks, Scherlis et al. 2022; Toy Models of
Superposition, Elhage et al. 2022
Claim: trained models leave hardly any capacity unused, share it evenly, and more is worth about the
same to every feature that shares
Baselines: early, the first hundred steps; untrained; scattered, trained lengths in random
directions; linear models
Cost: 204 s on 2 cores, 370 CPU-seconds, 0.4 GB a process
"""

from assay.core import Arm, Experiment, changed, grid, reserved, variant
from assay_catalogue.experiments.capacity.claims import CLAIMS, DENSITIES, SPARSE, drawings
from assay_catalogue.experiments.capacity.method import (
    Capacity,
    benefit,
    envelope,
    measure,
    scatter,
    train,
)

ARMS = {
    "main": Arm(
        train,
        specs=reserved("asked"),
        note=(
            "the ReLU model: of every {main.starts:w} starts the one with the lowest held-out loss"
        ),
    ),
    "main-half": Arm(
        train,
        specs=variant(seeds=8, times={"steps": 0.5}),
        note="main for half as many steps, {main-half.seed#:w} seeds",
    ),
    "untrained": Arm(
        train,
        specs=changed(steps=0),
        note="its starts, Gaussian weights: again the best of {main.starts:w}",
        learned=(),
    ),
    "scattered": Arm(
        scatter,
        specs=changed(asked="scatter"),
        after="main",
        note="main's lengths in random directions",
        learned=("lengths",),
    ),
    "benefit": Arm(
        benefit,
        specs=changed(asked="benefit"),
        after="main",
        note="what more capacity is worth, near main's capacities",
    ),
    "benefit-scattered": Arm(
        benefit,
        specs=variant(where={"density": SPARSE}, asked="benefit"),
        after="scattered",
        note="the same near capacities that nobody chose",
        learned=("lengths",),
    ),
    "benefit-linear": Arm(
        benefit,
        specs=variant(where={"density": (SPARSE[0], SPARSE[-1])}, asked="benefit", relu=False),
        after="untrained",
        note="a linear model with a free gain, where the worth is importance times variance",
    ),
    "envelope": Arm(
        envelope,
        specs=changed(asked="envelope", exact=400),
        after="main",
        note="main trained on, each importance {envelope.change:%} up and down",
    ),
    "early": Arm(
        envelope,
        specs=changed(asked="envelope", exact=100),
        after="untrained",
        note="the same for only {early.exact} steps from the start",
    ),
}
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=drawings,
    scope="{features} independent features of importance {ratio}^i in {width} dimensions, "
    "best of {starts} starts",
    smoke=grid(
        Capacity(steps=20, exact=20, starts=2),
        density=(1.0, DENSITIES[3], SPARSE[-1]),
        seed=range(2),
    ),
    default=grid(Capacity(), density=DENSITIES, seed=range(63400, 63424)),
)
