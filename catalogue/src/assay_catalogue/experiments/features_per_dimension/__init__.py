"""Features per dimension: does the size of the weights count features, if weights can be rescaled?

Group: toys
Paper: Toy Models of Superposition, "The Geometry of Superposition", Elhage et al. 2022
Claim: ‖W‖²/d counts nothing where the scale of W is free; a tied autoencoder fixes it, and its
‖W‖²/d still counts a third too many
Baselines: rescaled, trained models times a number; untrained; relu, classifiers whose scale is
free; bias and tanh, where it is not
Cost: 81 s on 2 cores, 142 CPU-seconds, 0.8 GB a process
Seed: rescaling a bias-free ReLU net changes the measure and no class; a tied autoencoder is not
free to be rescaled (A. Jermyn)"""

from __future__ import annotations

from assay.core import Arm, Experiment, SpecMap, changed, grid, reserved
from assay_catalogue.experiments.features_per_dimension.claims import CLAIMS, figures
from assay_catalogue.experiments.features_per_dimension.method import (
    GROUP,
    FeaturesPerDimension,
    measure,
    rescale,
    train_classifier,
    train_tied,
)


def net(kind: str) -> SpecMap[FeaturesPerDimension]:
    """Classifiers of a kind, one for each of the first 36 seeds."""
    return lambda specs: tuple(s.replace(net=kind) for s in specs[:36])


ARMS = {
    "main": Arm(
        train_tied,
        specs=reserved("net", "rescale"),
        note="tied autoencoders, one for each density, x' = ReLU(W Wᵀ x + b)",
    ),
    "main-half": Arm(
        train_tied,
        specs=lambda specs: tuple(
            s.replace(steps=s.steps // 2) for s in specs[: max(1, len(specs) // 4)]
        ),
        note="main for half as many steps, a quarter of the seeds",
    ),
    "rescaled": Arm(
        rescale,
        specs=changed(rescale=True),
        after="main",
        note="main's W times a random number, log-uniform from 0.1 to 10, one for every model",
        learned=("directions",),
    ),
    "untrained": Arm(
        train_tied,
        specs=changed(steps=0),
        note="starts that nobody trained: Gaussian weights",
        learned=(),
    ),
    "relu": Arm(
        train_classifier,
        specs=net("relu"),
        note="classifiers W₂ ReLU(W₁ x), nothing added: free to be rescaled",
    ),
    "bias": Arm(train_classifier, specs=net("bias"), note="the same with biases in both layers"),
    "tanh": Arm(train_classifier, specs=net("tanh"), note="the same as relu with a tanh"),
}
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    scope="{networks}",
    seeds_per_group=24,
    measured=3,  # no loss along biases that are rescaled too
    smoke=grid(
        FeaturesPerDimension(steps=20, net_steps=20, densities=(0.02, 0.14, 1.0)), seed=range(4)
    ),
    default=grid(FeaturesPerDimension(), seed=range(63200, 63200 + 16 * GROUP)),
)
