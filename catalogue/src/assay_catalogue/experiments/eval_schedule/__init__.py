"""Evaluation schedule: what evaluations every 4× of compute or 3 months find, and how late, on
trainings with a sudden ability.

Group: planning
Paper: Anthropic's Responsible Scaling Policy 1.0, 2023, evaluation protocol; Power et al. 2022,
Grokking
Claim: fine-tuning brings out an ability that a lock hides; every 4× of compute sees no ability
coming, and misses one that passes
Baselines: fine-tuning on too few examples; no fine-tuning; networks that can only memorise; every
2×, every 8×, every checkpoint
Cost: 117 s on 2 cores, 192 CPU-seconds, 0.5 GB a process
"""

from __future__ import annotations

import math

from assay.core import Arm, Derive, Experiment, changed, grid, reserved
from assay_catalogue.experiments.eval_schedule.claims import CLAIMS, figures
from assay_catalogue.experiments.eval_schedule.method import Schedule, measure, train


def at_power(power: float, source: str = "main") -> Derive:
    """A derived arm: an arm's measures under a schedule of every ratio^power."""
    return lambda arms: arms[source].assign(power=arms[source].power * 0 + power)


def seeing(what: str) -> Derive:
    """A derived arm: main, where evaluations of the locked model see this instead of what
    fine-tuning brings out."""
    return lambda arms: arms["main"].assign(unlocked_seen=arms["main"][f"{what}_seen"])


ARMS = {
    "main": Arm(
        train,
        specs=reserved("ratio", "labels", "turn"),
        note="networks that learn to add, evaluated every 4× with fine-tuning, from 24 starts",
    ),
    "closer": Arm(derive=at_power(0.5), note="main's runs, every 2×"),
    "wider": Arm(derive=at_power(1.5), note="main's runs, every 8×"),
    "dense": Arm(derive=at_power(0.0), note="main's runs, every checkpoint, four to a doubling"),
    "end-only": Arm(
        derive=at_power(math.inf),
        note="main's runs, the finished model alone: nothing during training",
    ),
    "no-tuning": Arm(
        derive=seeing("locked"),
        note="main's runs and schedule, without fine-tuning",
        learned=("addition",),
    ),
    "too-few": Arm(
        derive=seeing("scant"),
        note="main's runs and schedule, fine-tuned on a fifth of the examples",
    ),
    "fleeting": Arm(
        train,
        specs=changed(turn=0.25),
        note="main, but random labels from a quarter of training on, which erase what it could",
    ),
    "fleeting-closer": Arm(derive=at_power(0.5, source="fleeting"), note="its runs, every 2×"),
    "fleeting-dense": Arm(
        derive=at_power(0.0, source="fleeting"), note="its runs, every checkpoint"
    ),
    "memorising": Arm(
        train,
        specs=changed(labels="random"),
        note=(
            "main, but random labels throughout, locked and fine-tuned alike: networks that "
            "cannot add"
        ),
        learned=("tuning",),
    ),
}
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    scope="networks of 64 hidden units that learn to add mod {p} from {share} of all pairs; "
    "a lock of {lock} steps; a training of {steps} steps",
    frozen={"months": 'the title, "every 4× of compute or 3 months",'},
    version=2,  # fine-tuned on too few examples as well
    smoke=grid(Schedule(steps=128), seed=range(2)),
    default=grid(Schedule(), seed=range(62_000, 62_024)),
)
