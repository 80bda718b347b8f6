"""S-curves: why the loss of a matrix learned as a product of two factors first stands still, then
falls.

Group: training
Paper: Jermyn & Shlegeris 2022, Multi-Component Learning and S-Curves; Jermyn's comments on it,
about cross-entropy
Claim: at rank 1 the loss first stands on a plateau, descending at most a tenth as fast there as at
its fastest
Baselines: full-rank and rank-ten, products of more components; dealt, starts mixed up; small,
squared error at the start of ce; free
Cost: 770 s on 2 cores, 380 CPU-seconds, 0.5 GB a process
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.core import Arm, Arms, Derive, Experiment, SpecMap, by, grid
from assay.core.errors import SpecError
from assay.core.heavy import xr
from assay.train import rng
from assay_catalogue.experiments.s_curves.claims import CLAIMS, figures
from assay_catalogue.experiments.s_curves.method import SCurves, measure, train


def more_seeds(
    times: int = 1,
    longer: float = 1.0,
    ranks: Sequence[int] | None = None,
    start: Sequence[float] | None = None,
    **fields: Any,
) -> SpecMap[SCurves]:
    """The preset with other fields, `times` as many seeds and `longer` times the steps; rank −1 is
    the highest of the preset's."""

    def specs(main: tuple[SCurves, ...]) -> tuple[SCurves, ...]:
        base = main[0]
        chosen_ranks = (
            base.ranks
            if ranks is None
            else tuple(base.n if r == -1 else min(r, base.n) for r in ranks)
        )
        base = base.replace(steps=round(longer * base.steps), ranks=chosen_ranks, **fields)
        starts = sorted({s.start for s in main}) if start is None else start
        seeds = sorted({s.seed for s in main})
        return grid(base, seed=range(seeds[0], seeds[0] + times * len(seeds)), start=starts)

    return specs


def as_named(main: tuple[SCurves, ...]) -> tuple[SCurves, ...]:
    """The preset's specs. Raises: SpecError where they lack a rank that a claim names."""
    if main[0].ranks[:3] != NAMED or main[0].ranks[3:] != (main[0].n,):
        raise SpecError(
            f"claims of s-curves are about the ranks {', '.join(map(str, NAMED))} and full: "
            f"SCurves.ranks must be {(*NAMED, main[0].n)} with n={main[0].n}, got {main[0].ranks}"
        )
    return main


NAMED = (1, 2, 10)
"""Ranks that claims name, besides the full one."""


def in_place(name: str, rank: int, target_rank: int) -> Derive:
    """A derived arm: the measures of an arm with those at `rank` (−1: the highest) in the place of
    those at `of`, and no other."""

    def derive(arms: Arms) -> xr.Dataset:
        highest = arms[name]["rank"].values[-1]
        return (
            arms[name].sel(rank=[highest if rank == -1 else rank]).assign_coords(rank=[target_rank])
        )

    return derive


def dealt(arms: Arms) -> xr.Dataset:
    """A derived arm: depths of main, those of each seed and rank dealt out to its starts at
    random."""
    main, mixed = arms["main"], arms["main"].depth.values.copy()
    runs = {seed: np.flatnonzero(main.seed.values == seed) for seed in np.unique(main.seed.values)}
    for rank in range(main.sizes["rank"]):
        for seed, indices in runs.items():
            mixed[indices, rank] = main.depth.values[
                indices[rng.permutation(np.array([seed]), "s-curves.dealt", rank, len(indices))[0]],
                rank,
            ]
    return main[["depth", "left"]].assign(depth=main.depth.copy(data=mixed))


def at_half(name: str) -> Derive:
    """A derived arm: what half the steps would have shown. The rate is constant, so that is the
    first half of the same training."""
    return lambda arms: arms[name].assign(drops=arms[name].drops_half)


def two_to_one(arms: Arms) -> xr.Dataset:
    """A derived arm: of each seed `ce` twice and `one-sign` once, so that a seed drops twice by two
    thirds where `ce` does."""
    parts = [arms[name][["drops", "drops_half"]].sel(rank=[1]) for name in ("ce", "ce", "one-sign")]
    return xr.concat(parts, "run", combine_attrs="override")


def other_start(arms: Arms) -> xr.Dataset:
    """A derived arm: main's measures, with the times predicted from the same seed's largest
    start."""
    predicted = by(arms["main"], "start").predicted.isel(start=-1, drop=True)
    dataset = arms["main"][["t50", "left", "predicted"]].copy(deep=True)
    dataset["predicted"] = (
        "run",
        predicted.sel(seed=dataset.seed.values).values,
        dataset.predicted.attrs,
    )
    return dataset


CE: dict[str, Any] = {"loss": "row-kl", "scale": 2.0, "lr": 3.0}
PAIRS: dict[str, Any] = {"positive": "ab", "ranks": (10,), "lr": 0.1, "longer": 5 / 3}
ARMS = {
    "main": Arm(
        train,
        specs=as_named,
        note=(
            "squared error, factors, gradient descent: ranks {ranks} and full, {main.start#:w} "
            "starts"
        ),
    ),
    "free": Arm(
        train,
        specs=more_seeds(free=True),
        note="the same functions at the start, learned as a free matrix: a single component",
    ),
    "adam": Arm(
        train,
        specs=more_seeds(start=(0.1,), adam=True, lr=3e-3),
        note="main's smallest start, by Adam",
    ),
    "free-adam": Arm(
        train,
        specs=more_seeds(start=(0.1,), free=True, adam=True, lr=3e-3),
        note="the free matrix, by Adam",
    ),
    "rank-ten": Arm(
        derive=in_place("main", 10, 1),
        note="`main` with rank 10 in the place of rank 1: a product, of ten components at once",
    ),
    "full-rank": Arm(
        derive=in_place("main", -1, 1), note="`main` with full rank in the place of rank 1"
    ),
    "dealt": Arm(
        derive=dealt,
        note="`main`, each seed's depths at a rank dealt out to its starts at random",
        learned=("factors",),
    ),
    "adam-full": Arm(
        derive=in_place("adam", -1, 1), note="`adam` with full rank in the place of rank 1"
    ),
    "other-start": Arm(
        derive=other_start,
        note="main, with times predicted from the seed's largest start: no effect of the start",
        learned=("factors",),
    ),
    "small": Arm(
        train,
        specs=more_seeds(3, 5 / 3, (1, 2), (0.01,)),
        note="squared error from the start of `ce`, three times the seeds",
    ),
    "ce": Arm(
        train,
        specs=more_seeds(3, 5 / 3, (1, 2, 10), (0.01,), **CE),
        note="cross-entropy of logits, target entries of variance 4",
    ),
    "ce-free": Arm(
        train,
        specs=more_seeds(1, 5 / 3, (1, 2), (0.01,), free=True, **CE),
        note="the same, learned as a free matrix",
    ),
    "ce-adam": Arm(
        train,
        specs=more_seeds(3, 5 / 3, (1, 2), (0.01,), **CE | {"adam": True, "lr": 3e-3}),
        note="the same factors, by Adam",
    ),
    "ce-two": Arm(derive=in_place("ce", 2, 1), note="`ce` with rank 2 in the place of rank 1"),
    "one-sign": Arm(
        train,
        specs=more_seeds(3, 5 / 3, (1,), (0.01,), positive="a", **CE),
        note="`ce` at rank 1 where all rows of the target have one sign",
    ),
    "ce-long": Arm(
        train,
        specs=more_seeds(1, 20 / 3, (10,), (0.01,), **CE),
        note="`ce` at rank 10 for four times the steps",
    ),
    "steep": Arm(
        train,
        specs=more_seeds(1, 5 / 3, (2, 10), (0.01,), **CE | {"scale": 4.0}),
        note="`ce` with target entries of variance 16",
    ),
    "steep-two": Arm(
        derive=in_place("steep", 2, 10), note="`steep` with rank 2 in the place of rank 10"
    ),
    "steep-adam": Arm(
        train,
        specs=more_seeds(1, 5 / 3, (10,), (0.01,), **CE | {"scale": 4.0, "adam": True, "lr": 1e-2}),
        note="the same, by Adam",
    ),
    "ce-full": Arm(
        train,
        specs=more_seeds(1, 1.0, (1, -1), (0.3,), **CE),
        note="cross-entropy from a start of 0.3, rank 1 and full",
    ),
    "two-to-one": Arm(
        derive=two_to_one,
        note="planted: `ce` and `one-sign` at rank 1, two to one in each seed",
    ),
    **{
        f"{name}-half": Arm(derive=at_half(name), note=f"`{name}` after half its steps")
        for name in ("ce", "small", "one-sign")
    },
    "raw": Arm(
        train,
        specs=more_seeds(start=(0.3,), loss="raw", **PAIRS),
        note="−Σ C ln Z of positive matrices, nothing normalised",
    ),
    "normalised": Arm(
        train,
        specs=more_seeds(start=(0.3,), loss="normalised", **PAIRS),
        note="the same with the rows of Z normalised",
    ),
    "generalised": Arm(
        train,
        specs=more_seeds(start=(0.3,), loss="generalised", **PAIRS),
        note="generalised KL of the same matrices",
    ),
}
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=figures,
    scope="one random target per seed and rank, {n} × {n}, full-batch training",
    page="The loss is shown and measured less its value at Z = C, so that equality is zero. At "
    "rank 2, too, some seeds are hard at logit scale 4; at rank 10 all are.",
    measured=2,
    sizes={"ranks": lambda sizes: ", ".join(map(str, sizes("main", "ranks")[0][:-1]))},
    smoke=grid(
        SCurves(n=20, ranks=(1, 2, 10, 20), steps=60),
        start=(0.1, 0.2, 0.3, 0.4, 0.5),
        seed=range(2),
    ),
    default=grid(SCurves(), start=(0.1, 0.2, 0.3, 0.4, 0.5), seed=range(43200, 43224)),
)
