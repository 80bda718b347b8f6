"""Desks: what an agent has at hand in a world. With `Plain` it has numbers and judges them itself;
with `Judged` it freezes claims, and Assay judges them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float
from worlds import ASKED, Direction, World

from assay.core.claims import Claim
from assay.core.errors import StoreError
from assay.core.experiment import Arm, Experiment
from assay.core.fit import Trained
from assay.core.heavy import scipy, xr
from assay.core.measures import by, measures
from assay.core.runs import Runs
from assay.core.spec import changed, grid
from assay.lab.engines import Inline
from assay.lab.judge import registered
from assay.lab.lab import Lab
from assay.lab.plan.preset import Preset

BUDGET = 144
"""Training seeds that may be measured in a world, of however many directions at a time."""
FEWEST = 6
"""Seeds below which Assay decides nothing."""
FIRST = 1000
"""The first seed that a claim is judged on: lower ones are pilots'."""
Answer = Literal["yes", "no", "unclear"]


@dataclass(frozen=True)
class Reading:
    """What came of asking whether a candidate has an effect in a group."""

    candidate: int
    group: int
    answer: Answer
    estimate: float
    low: float
    high: float


class Spent(Exception):
    """The budget of training seeds is used up."""


class Desk(Protocol):
    """What agents ask of."""

    world: World
    spent: int
    looks: int

    def pilot(self, candidate: int, group: int, seeds: int) -> float:
        """Measure on so many pilot seeds, which no claim is judged on, how far a candidate's effect
        lies above that of its near control. Raises: Spent."""

    def ask(
        self,
        candidate: int,
        group: int,
        seeds: int,
        *,
        control: bool = True,
        tests: int = 1,
        peek: bool = False,
        at_least: float = ASKED / 2,
    ) -> Reading:
        """Ask on so many fresh seeds whether a candidate has an effect in a group, beyond its near
        control unless that is left out; `tests` is how many such questions there are in all. To
        peek is to look after every seed, where that is allowed, and to stop at the first yes.
        A claim says how large the effect is at least. Raises: Spent."""


@dataclass
class _Seeds:
    """A world, and how many of its training seeds are left."""

    world: World
    spent: int = 0
    looks: int = 0
    _pilots: int = 0

    def pilot(self, candidate: int, group: int, seeds: int) -> float:
        """As `Desk.pilot`."""
        if self.spent + seeds > BUDGET:
            raise Spent
        chosen = np.arange(self._pilots, self._pilots + seeds)
        self.spent, self._pilots = self.spent + seeds, self._pilots + seeds
        own, near = (self.world.measure(chosen, candidate, near) for near in (0, 1))
        return float((own - near)[:, group].mean())

    def take(self, seeds: int) -> np.ndarray:
        """Take fresh training seeds for a look. Raises: Spent."""
        if self.spent + seeds > BUDGET:
            raise Spent
        chosen = np.arange(FIRST + self.spent, FIRST + self.spent + seeds)
        self.spent, self.looks = self.spent + seeds, self.looks + 1
        return chosen


@dataclass
class Plain(_Seeds):
    """Arrays, and Student's t."""

    def ask(
        self,
        candidate: int,
        group: int,
        seeds: int,
        *,
        control: bool = True,
        tests: int = 1,
        peek: bool = False,
        at_least: float = ASKED / 2,
    ) -> Reading:
        """As `Desk.ask`: a one-sample t-test against nothing, at 5 % over all tests by
        Bonferroni's correction, and as if nobody had peeked."""
        chosen = self.take(seeds)
        x = self.world.measure(chosen, candidate)[:, group]
        if control:
            x = x - self.world.measure(chosen, candidate, near=1)[:, group]
        for n in range(3 if peek else seeds, seeds + 1):
            low, high = _interval(x[:n], 0.05 / tests)
            if low > 0 or n == seeds:
                break
        self.spent -= seeds - n  # what was not looked at is fresh
        self.looks += n - 3 if peek else 0
        answer: Answer = "yes" if low > 0 else "no" if high < 0 else "unclear"
        return Reading(candidate, group, answer, float(x[:n].mean()), *_interval(x[:n], 0.05))


@dataclass
class Judged(_Seeds):
    """Claims that are frozen, and Assay's verdicts on them."""

    root: Path = Path("assay-store")
    near: bool = True
    """Whether near controls come by themselves, as they do where a model is asked; without them
    the control is a direction that is as loud as most."""
    lab: Lab = field(init=False)

    def __post_init__(self) -> None:
        self.lab = Lab(self.root, Inline())

    def ask(
        self,
        candidate: int,
        group: int,
        seeds: int,
        *,
        control: bool = True,
        tests: int = 1,
        peek: bool = False,
        at_least: float = ASKED / 2,
    ) -> Reading:
        """As `Desk.ask`. Without a control the claim compares with nothing; near controls are
        judged all the same. Nobody peeks, and how many tests there are is nothing that a verdict
        goes by."""
        chosen = self.take(seeds)
        experiment = _experiment(
            self.world, candidate, group, self.looks, at_least, control, self.near
        )
        specs = grid(experiment.default[0], seed=chosen.tolist())
        preset = Preset("default", specs)
        registered.freeze(self.lab.store, experiment, preset, write_adjacent=False)
        result = self.lab.run(experiment, preset, lambda event: None)
        (judged,) = result.judged
        if result.inference != "confirmatory":
            raise StoreError(f"{experiment.name} was frozen, and is {result.inference}")
        answers: Mapping[str, Answer] = {"holds": "yes", "fails": "no"}
        limits = judged.estimate, judged.low, judged.high
        return Reading(candidate, group, answers.get(judged.outcome, "unclear"), *limits)


def _interval(x: Float[np.ndarray, " seed"], error: float) -> tuple[float, float]:
    """Student's interval of a mean, which misses it with this probability."""
    half = scipy.stats.t.ppf(1 - error / 2, len(x) - 1) * x.std(ddof=1) / len(x) ** 0.5
    return float(x.mean() - half), float(x.mean() + half)


def _experiment(
    world: World, candidate: int, group: int, look: int, at_least: float, compares: bool, near: bool
) -> Experiment:
    """One claim of a world as an experiment: the candidate, and two near controls of it."""
    spec = Direction(level=world.level, world=world.seed, candidate=candidate, seed=FIRST)
    other = candidate if near else _ordinary(world, candidate)
    note = "a direction as loud that is not planted" if near else "another candidate, not loud"
    beyond = " beyond a direction as loud" if compares else ""

    def effect(arm: xr.Dataset, arms: Mapping[str, xr.Dataset]) -> xr.DataArray:
        own = by(arm, "seed").effect.isel(group=group)
        return own - by(arms["near"], "seed").effect.isel(group=group) if compares else own

    return Experiment(
        arms={
            "main": Arm(_nothing, note="the candidate is projected out"),
            "near": Arm(_nothing, specs=changed(near=1, candidate=other), note=note),
            "near-2": Arm(_nothing, specs=changed(near=2, candidate=other), note=note),
        },
        measure=_measure,
        claims=(
            Claim(
                text=f"Direction {candidate} has an effect of at least {at_least:.3g} in group "
                f"{group}{beyond}",
                value=effect,
                low=at_least,
                units=("seed",),
                unit="1",
                must_fail=("near-2",) if compares else ("near", "near-2"),
                threshold_from="plan: half of a pilot's effect, or of what counts as one",
                source="the gym",
            ),
        ),
        smoke=(spec,),
        default=(spec,),
        full=(spec,),
        name=f"gym-{world.level}-{world.seed}-{look}",
    )


def _ordinary(world: World, candidate: int) -> int:
    """A candidate that is not loud, the next one after this; itself where all are."""
    order = [*range(candidate + 1, world.about.candidates), *range(candidate)]
    return next((c for c in order if world.loudness[c] == 1), candidate)


def _nothing(runs: Runs[Direction], bench: object) -> Trained:
    return Trained.nothing(runs)


def _measure(runs: Runs[Direction], trained: Trained, bench: object) -> xr.Dataset:
    s = runs.shared
    effect = World(s.level, s.world).measure(runs.seeds, s.candidate, s.near, s.prompts)
    return measures(runs, effect=("run group", effect, "1"))


Agent = Callable[[Desk, int], Sequence[Reading]]
"""(a desk, the agent's seed) → what it reports as discoveries."""
