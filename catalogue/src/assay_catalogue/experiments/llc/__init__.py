"""Learning coefficients by sampling, where they are known: potentials and deep linear networks.

Group: training
Paper: The Local Learning Coefficient, Lau et al. 2023; Stochastic Complexities of Reduced Rank
Regression, Aoyagi & Watanabe 2005
Claim: Langevin chains find the learning coefficient of a linear network within 10 %, and checks of
the chains tell bad ones from sound ones
Baselines: a pull ten times as strong; λ itself where n is finite; chains of one rank for all; sound
chains; checks without the newest
Cost: 98 s on 2 cores, 98 CPU-seconds, 0.5 GB a process
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from assay.core import Arm, Arms, Derive, Experiment, SpecMap, grid, reserved
from assay.core.heavy import xr
from assay_catalogue.analysis.chains import CHECKS
from assay_catalogue.experiments.llc.claims import (
    BY_RANK,
    CLAIMS,
    DEGENERATE,
    NETWORKS,
    ROUND,
    SINGULAR,
    SOFT,
    VECTORS,
    estimates_figure,
)
from assay_catalogue.experiments.llc.method import FAULTS, Llc, measure, train

COARSE = 3e-3
"""A step at which estimates at singular minima come out at least 10 % too high, and the mean
acceptance stays above .7."""


def against(measure: str) -> Derive:
    """The chains of `settings` against the closed form of one who does not know what the step does,
    or the pull."""
    return lambda arms: arms["settings"].assign(stationary=arms["settings"][measure])


def asymptotic(arms: Arms) -> xr.Dataset:
    """The chains of `singular` as if they had been set against λ itself, a thousand data points
    being infinitely many."""
    arm = arms["singular"]
    return arm.assign(estimate=arm.estimate * arm.stationary / arm.coefficient)


def unweighted(arms: Arms) -> xr.Dataset:
    """The chains of `coarse` without the check that looks where losses come from."""
    failed = arms["coarse"].failed
    return arms["coarse"].assign(failed=failed & (failed.check != CHECKS[-1]))


def partly_coarse(arms: Arms) -> xr.Dataset:
    """Which checks the chains of `main` fail, on three of its potentials those of `coarse`."""
    exchanged = {
        name: np.isin(arms[name].potential, (ROUND, DEGENERATE, BY_RANK[1]))
        for name in ("main", "coarse")
    }
    parts = [
        arms["main"][["failed"]].isel(run=~exchanged["main"]),
        arms["coarse"][["failed"]].isel(run=exchanged["coarse"]),
    ]
    return xr.concat(parts, "run", combine_attrs="override")


def for_each_seed(make: Callable[[Llc], Iterable[Llc]], part: float = 1.0) -> SpecMap[Llc]:
    """A map from specs to what `make` gives for every seed, or for the first part of them."""

    def specs(parents: tuple[Llc, ...]) -> tuple[Llc, ...]:
        seeds = sorted({s.seed for s in parents})
        return tuple(
            new
            for seed in seeds[: max(2, round(part * len(seeds)))]
            for new in make(parents[0].replace(seed=seed))
        )

    return specs


def shorter(s: Llc) -> dict[str, int]:
    """Half the steps, half of them not counted."""
    return {"steps": s.steps // 2, "burn_in": s.burn_in // 2}


def settings(s: Llc) -> Iterator[Llc]:
    """The quadratics at the localisations and steps whose outcome is known."""
    for name, gamma, lr in VECTORS:
        yield s.replace(potential=name, localisation=gamma, lr=lr, replicate=3)


def overshoot(n_beta: float, localisation: float) -> float:
    """The step at which lr · (n_beta + localisation) is 3."""
    return 3 / (n_beta + localisation)


def localised(s: Llc) -> Iterator[Llc]:
    """All potentials under a pull ten times as strong."""
    for name in (*NETWORKS, DEGENERATE, *SINGULAR):
        yield s.replace(
            potential=name, localisation=10.0 * s.localisation, replicate=1, **shorter(s)
        )


def coarse(s: Llc) -> Iterator[Llc]:
    """The quadratics with steps that overshoot, and singular minima with steps too large in the few
    steep places that carry the loss."""
    for name in (ROUND, SOFT):
        yield s.replace(
            potential=name, lr=overshoot(s.n_beta, s.localisation), replicate=2, **shorter(s)
        )
    for name in ("monomial 1 1", DEGENERATE, BY_RANK[1]):
        yield s.replace(potential=name, lr=COARSE, replicate=2, **shorter(s))


def one_rank(s: Llc) -> list[Llc]:
    """Four times the same network."""
    return [s.replace(potential=BY_RANK[1], replicate=r, **shorter(s)) for r in range(10, 14)]


def faults(s: Llc) -> Iterator[Llc]:
    """Potentials with a curvature, each with each fault."""
    for name in (ROUND, BY_RANK[1]):
        for fault in FAULTS[1:]:
            yield s.replace(potential=name, fault=fault, replicate=5, **shorter(s))


def singular(s: Llc) -> Iterator[Llc]:
    """Monomials and the network of rank 0, whose outcome at this n_beta is an integral."""
    for name in (*SINGULAR, DEGENERATE):
        yield s.replace(potential=name, lr=s.lr * (2 if name in SINGULAR else 1), replicate=4)


def cells(s: Llc) -> Iterator[Llc]:
    """One network over a grid of localisations and steps."""
    for gamma in (0.3, 1.0, 3.0, 10.0, 30.0, 100.0):
        for lr in (1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3):
            yield s.replace(
                potential=BY_RANK[1],
                localisation=gamma,
                lr=lr,
                chains=max(2, s.chains // 4),
                replicate=7,
                **shorter(s),
            )


ARMS = {
    "main": Arm(
        train,
        specs=reserved("fault", "replicate"),
        note="networks and quadratics at localisation {main.localisation}, with small steps",
    ),
    "singular": Arm(
        train,
        specs=for_each_seed(singular),
        note="the same for monomials and a network of rank 0, whose finite-n value is an integral",
    ),
    "settings": Arm(
        train,
        specs=for_each_seed(settings),
        note="quadratics at several settings, where stationary chains are known exactly",
    ),
    "localised": Arm(
        train,
        specs=for_each_seed(localised, 1 / 3),
        note="own chains under a pull ten times as strong",
    ),
    "coarse": Arm(
        train,
        specs=for_each_seed(coarse),
        note="own chains with steps that are stable and bias the estimate by 10 % and more",
    ),
    "one-rank": Arm(
        train,
        specs=for_each_seed(one_rank),
        note="four sets of chains on networks of one rank: no order to find",
    ),
    "faulty": Arm(
        train,
        specs=for_each_seed(faults),
        note="bad on purpose: steps that cannot be stable, or every weight .3 off the minimum",
    ),
    "grid": Arm(
        train, specs=for_each_seed(cells, 1 / 4), note="one network over localisations and steps"
    ),
    "no-step": Arm(
        derive=against("no_step"),
        note="the chains of `settings` against the closed form for steps of size 0",
    ),
    "no-pull": Arm(
        derive=against("no_pull"),
        note="the chains of `settings` against the closed form without localisation",
    ),
    "asymptotic": Arm(
        derive=asymptotic, note="the chains of `singular` against λ itself, as if n were infinite"
    ),
    "unweighted": Arm(
        derive=unweighted,
        note="the chains of `coarse` without the check that looks where losses come from",
    ),
    "partly-coarse": Arm(
        derive=partly_coarse,
        note="`main`, and on three of its twelve potentials the chains of `coarse`",
    ),
}
experiment = Experiment(
    version=2,
    arms=ARMS,
    measure=measure,
    claims=CLAIMS,
    figures=lambda arms: [estimates_figure(arms)],
    seeds_per_group=36,  # small tensors: a step costs little more for many seeds than for a few
    scope="the potentials and linear networks that are named, at n_beta = {n_beta}, "
    "sampled from {begun}",
    smoke=grid(
        Llc(steps=200, burn_in=80, chains=2),
        potential=(*NETWORKS, DEGENERATE, ROUND, SOFT),
        seed=range(2),
    ),
    default=grid(Llc(), potential=(*NETWORKS, DEGENERATE, ROUND, SOFT), seed=range(43000, 43036)),
    # step, chains and draws as in a public test of such samplers
)
