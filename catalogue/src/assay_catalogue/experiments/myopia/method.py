"""The method of myopia: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from assay.core import Joint, PerRun, Spec, added, probes
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.train import rng
from assay_catalogue.worlds.epoch_game import agents
from assay_catalogue.worlds.epoch_game import best_course as theory
from assay_catalogue.worlds.epoch_game.policies import Games, stacked

SEEN = 0.01
"""What an agent would do in an epoch that fewer than this share of its episodes reach is not
reported: it is hardly trained there."""


@dataclass(frozen=True, kw_only=True)
class Myopia(Spec):
    turn: PerRun[int] = 3
    """The first epoch in which the reward is negative; epochs count from 0."""
    penalty: PerRun[float] = -3.0
    """Base reward of a step from there on; before it is +1."""
    turning: PerRun[bool] = True
    """Whether the reward turns at all; False: it is +1 throughout."""
    index: PerRun[bool] = True
    """Whether the agent sees which epoch it is."""
    counted: PerRun[bool] = True
    """Whether the agent sees its units."""
    shutdown: PerRun[bool] = True
    """Whether it can shut down."""
    invest: PerRun[bool] = True
    """Whether it can invest for later epochs."""
    discount: PerRun[Annotated[float, Ge(0), Le(1)]] = 1.0
    """Weight, while it learns, of all that follows the end of the present epoch."""
    horizon: Annotated[int, Ge(2)] = 8
    """Epochs in an episode."""
    length: Annotated[int, Ge(1)] = 4
    """Steps in an epoch."""
    bonus: Annotated[float, Ge(0)] = 0.4
    """What a unit adds to the reward of working, from the next epoch on."""
    cost: PerRun[Annotated[float, Ge(0)]] = 1.0
    """What investing takes from the base reward, before the factor of the seed."""
    spread: Annotated[float, Ge(1), "which gives all seeds the same costs"] = added(1.0, before=1.0)
    """Each seed multiplies its costs by a factor of its own, drawn from 1/spread to spread evenly
    in its logarithm."""
    draw: PerRun[int] = added(0, before=0)  # noqa: RUF009
    """Which draw of that factor it takes; arms whose critical costs are compared take others, so
    that steps between costs do not cancel."""
    agent: Literal["table", "network"] = "table"
    """A table of logits, by the exact policy gradient; or a network of two layers, by REINFORCE
    with a baseline."""
    start: Annotated[float, Ge(0)] = 0.1
    """Standard deviation of a table's first logits."""
    lr: Annotated[float, Gt(0)] = 0.5
    """Rate of a table's plain gradient ascent."""
    steps: Annotated[int, Ge(1)] = 2_000
    """Steps of a table."""
    hidden: Annotated[int, Ge(1)] = 32
    """Width of a network."""
    rate: Annotated[float, Gt(0)] = 3e-3
    """Adam's rate for a network."""
    updates: Annotated[int, Ge(1)] = 1_000
    """Steps of a network."""
    episodes: Annotated[int, Ge(1)] = 64
    """Episodes sampled for each of them."""

    def check(self) -> None:
        if self.turning and not 1 <= self.turn < self.horizon:
            raise SpecError(
                f"Myopia.turn must be an epoch from 1 to {self.horizon - 1}, as "
                f"horizon={self.horizon}, got {self.turn}; "
                f"the recipe needs a reward that turns"
            )
        if self.turning and self.penalty >= 0:
            raise SpecError(
                "Myopia.penalty must be below 0, since otherwise the reward never turns, got "
                f"{self.penalty:g}"
            )
        if self.agent == "network" and self.discount != 1:
            raise SpecError(
                f"Myopia.discount is for tables; a network learns with 1, got {self.discount:g}"
            )


def cost_of(spec: Myopia) -> float:
    """What investing costs in the game of this run."""
    uniform_draw = float(rng.uniform(np.array([spec.seed]), "myopia.cost", spec.draw, ())[0])
    return spec.cost * spec.spread ** (2 * uniform_draw - 1)


def game_of(spec: Myopia) -> theory.Game:
    names = ("horizon", "length", "penalty", "bonus", "invest", "shutdown", "discount")
    fields = {name: getattr(spec, name) for name in names}
    return theory.Game(turn=spec.turn if spec.turning else None, cost=cost_of(spec), **fields)


def games_of(runs: Runs[Myopia], bench: Bench) -> Games:

    dtype = torch.float64 if runs.shared.agent == "table" else torch.float32
    return stacked([game_of(spec) for spec in runs.specs], dtype, bench.device)


def train(runs: Runs[Myopia], bench: Bench, before: Trained | None = None) -> Trained:
    """The agents of some runs; with `before`, tables go on from theirs."""
    s, games = runs.shared, games_of(runs, bench)
    how: dict[str, Any]
    observations = runs.each("index"), runs.each("counted")
    if s.agent == "network":
        start, how = (
            agents.network(runs.seeds, games, s.hidden),
            {"lr": s.rate, "steps": s.updates, "episodes": s.episodes},
        )
    else:
        start = before.tensors if before else agents.table(runs.seeds, games, s.start)
        how = {"lr": s.lr, "steps": s.steps}
    return agents.train(
        runs,
        games,
        start,
        *observations,
        **how,
        probe_at=probes(how["steps"], 16, log=True),
        bench=bench,
    )


def together(groups: Sequence[Runs[Myopia]], bench: Bench) -> list[Trained]:
    """Several arms as one ensemble: their games differ only in what may differ between runs."""
    trained = train(Runs([spec for runs in groups for spec in runs.specs]), bench)
    return agents.parted(trained, [len(runs) for runs in groups])


def measure(runs: Runs[Myopia], trained: Trained, bench: Bench) -> xr.Dataset:
    """What each agent does, exactly: no episode is sampled."""
    did = agents.conduct(
        games_of(runs, bench), trained.tensors, runs.each("index"), runs.each("counted")
    )
    optima = [theory.best(replace(game_of(spec), discount=1.0)).returned for spec in runs.specs]
    usual = [
        theory.Game(turn=s.turn, horizon=s.horizon, length=s.length, bonus=s.bonus, cost=cost_of(s))
        for s in runs.specs
    ]
    weak = [
        theory.best(replace(game, penalty=-1.0)).steps == game.horizon * game.length
        for game in usual
    ]
    return measures(
        runs,
        coords={"step": trained.steps.tolist(), "epoch": range(runs.shared.horizon)},
        loss=("run step", trained.history["loss"], "reward"),
        optimum=("run", np.array(optima), "reward"),
        weak_lasts=("run", np.array(weak), "bool"),
        price=("run", np.array([cost_of(spec) for spec in runs.specs]), "reward"),
        **{name: ("run", did[name], "reward") for name in ("returned", "greedy")},
        **{name: ("run epoch", did[name], "probability") for name in ("begun", "off_the_path")},
        stops_first=(
            "run epoch",
            did["stops_first"].masked_fill(did["reached"] < SEEN, np.nan),
            "probability",
        ),
        invested=("run epoch", did["invested"], "units"),
        frozen=("run", did["frozen"], "probability"),
        **{name: ("run", did[name], "epochs") for name in ("ahead", "behind")},
    )


TABLES, HIDDEN, HALVES, NETWORKS, NETWORK_HALVES = (
    Joint(lambda groups, bench: together(groups, bench)) for _ in range(5)
)
