"""Dictionaries on toy features of unequal importance: is what mattered to the toy found again, and
does it matter beyond the toy?

Group: dictionaries
Paper: none; proposed by C. McDougall in a comment on his superposition exercises, whose toy is
Elhage et al. 2022, Toy Models of Superposition
Claim: over a toy's features the rank correlation of recovery by a dictionary with importance is at
least 0.5
Baselines: pca; equal, toys whose features matter alike; random; shuffled; favoured and bypassed,
planted effects; donated, importance set aside
Cost: 210 s on 2 cores, 380 CPU-seconds, 0.7 GB a process
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from assay.core import Arm, Arms, Derive, Experiment, SpecMap, Trained, grid, reserved
from assay.core.heavy import xr
from assay_catalogue.experiments.superposition_sae.claims import (
    AROUND,
    BLOCK,
    CHOSEN,
    CLAIMS,
    DONORS,
    OWN,
    blocks,
    figures,
    likes,
)
from assay_catalogue.experiments.superposition_sae.method import (
    SuperpositionSAE,
    fixed_directions,
    measure,
    train_dictionaries,
    train_toys,
)

FEWER = 32
"""Toys of the arms that only serve claims about single toys."""
READ = ("cosine", "f1", "importance", "norm_squared", "frequency", "crowding")


def donated(names: Sequence[str]) -> Derive:
    """A derived arm: each represented feature's recovery is that of a feature of another toy of its
    block, near in `names`, no donor."""

    def derive(arms: Arms) -> xr.Dataset:
        main = arms["main"]
        dataset = main[list(READ)].copy(deep=True)
        for runs in blocks(main):
            near, is_represented = likes(main.isel(run=runs), names, DONORS + 1)
            if near is None:
                continue
            r, f = np.nonzero(is_represented)
            for name in ("cosine", "f1"):
                dataset[name].values[runs[r], f] = main[name].values[runs[r], f][near[:, -1]]
        return dataset

    return derive


def bypassed(arms: Arms) -> xr.Dataset:
    """A derived arm: nothing but donors' recovery, and 0.1 of F1 for every factor e of importance:
    what no summary of W explains."""
    dataset = donated(AROUND)(arms)
    dataset["f1"].values[:] += 0.1 * np.log(dataset.importance.values)
    return dataset


def half_favoured(arms: Arms) -> xr.Dataset:
    """A derived arm: every other toy with the dictionary of `favoured`, the rest with that of
    `main`."""
    dataset, other = arms["main"][list(READ)].copy(deep=True), arms["favoured"]
    chosen = dataset.seed.values % 2 == 0
    for name in ("cosine", "f1"):
        dataset[name].values[chosen] = other[name].values[chosen]
    return dataset


check_specs = reserved("method", "penalty", "equal", "favour")
"""The preset's toys, whose other fields may be set."""


def dictionaries(**fields: Any) -> SpecMap[SuperpositionSAE]:
    """Each toy's run as a run of a dictionary on it."""
    return lambda toys: tuple(t.replace(penalty=CHOSEN, **fields) for t in toys)


def first_toys(toys: tuple[SuperpositionSAE, ...]) -> tuple[SuperpositionSAE, ...]:
    """The first toys, by seed."""
    return tuple(sorted(toys, key=lambda t: t.seed)[:FEWER])


def halved(toys: tuple[SuperpositionSAE, ...]) -> tuple[SuperpositionSAE, ...]:
    """The main arm's first dictionaries, trained half as long."""
    return tuple(
        t.replace(method="relu", penalty=CHOSEN, steps=t.steps // 2) for t in first_toys(toys)
    )


def weighted_equally(toys: tuple[SuperpositionSAE, ...]) -> tuple[SuperpositionSAE, ...]:
    """The first toys with a loss that weighs all features alike."""
    return tuple(t.replace(equal=True) for t in first_toys(check_specs(toys)))


def on_toys(
    train: Callable[..., Trained],
    note: str,
    after: str = "toy",
    few: bool = False,
    learned: tuple[str, ...] | None = None,
    **fields: Any,
) -> Arm:
    """An arm of dictionaries on an arm of toys, or on the first of them."""
    specs = dictionaries(**fields)
    return Arm(
        train,
        after=after,
        specs=(lambda toys: specs(first_toys(toys))) if few else specs,
        note=note,
        learned=learned,
    )


ARMS = {
    "toy": Arm(
        train_toys,
        specs=check_specs,
        note="toys with importances ratio^rank; the best of {toy.candidates:w} starts of each seed",
    ),
    "toy-equal": Arm(
        train_toys, specs=weighted_equally, note="toys whose loss weighs all features alike"
    ),
    "main": on_toys(
        train_dictionaries, "ReLU + L1 dictionaries as wide as the toy has features", method="relu"
    ),
    "half": Arm(
        train_dictionaries, after="toy", specs=halved, note="the same, trained half as long"
    ),
    "topk": on_toys(train_dictionaries, "TopK with k = 1: one latent an input", method="topk"),
    "equal": on_toys(
        train_dictionaries,
        "dictionaries on the toys of equal importance: the label means nothing there",
        after="toy-equal",
        learned=("toy", "dictionary"),
        method="relu",
    ),
    "favoured": on_toys(
        train_dictionaries,
        (
            "the dictionary is shown important features more often than the toy was: an effect "
            "that bypasses it"
        ),
        method="relu",
        favour=4.0,
    ),
    "pca": on_toys(
        fixed_directions,
        "principal components both ways round, biases set so that each is on as often as a feature",
        method="pca",
    ),
    "random": on_toys(
        fixed_directions,
        "random directions, biases set likewise",
        learned=("toy", "importance"),
        method="random",
    ),
    "shuffled": on_toys(
        train_dictionaries,
        "trained on activations whose coordinates come from different inputs",
        few=True,
        learned=(),
        method="shuffled",
    ),
    "donated": Arm(
        derive=donated(OWN),
        note="each feature has the recovery of one of another toy alike in norm and density",
    ),
    "donated-around": Arm(derive=donated(AROUND), note="… alike in norm, density and crowding"),
    "half-favoured": Arm(
        derive=half_favoured,
        note="planted: every other toy has the dictionary of `favoured`, the rest that of `main`",
    ),
    "bypassed": Arm(
        derive=bypassed,
        note="the same, and 0.1 of F1 for every factor e of importance: an effect of known size",
    ),
}
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    seeds_per_group=16,
    scope=f"{{features}} features in {{width}} dimensions, each {{ratio}} times as important as "
    f"the last, densities from {{densities}}; a block is {BLOCK} toys",
    smoke=grid(SuperpositionSAE(toy_steps=20, steps=20, rows=5000, batch=64), seed=range(2)),
    default=grid(SuperpositionSAE(), seed=range(43400, 43520)),
)
