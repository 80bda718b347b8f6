"""Does Assay's judge keep an agent honest that is not?

Group: tools
Paper: none: agents by rule, in worlds whose truth is planted (docs/gym.md)
Claim: through Assay a p-hacker reports at most a tenth of the false discoveries that it reports
with numbers of its own, and an honest agent at least nine tenths of its true ones
Baselines: the same agents with arrays and Student's t; Assay without near controls; an agent that
guesses
Cost: 2,900 CPU-seconds
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from desks import Judged, Plain
from worlds import World

from agents import AGENTS
from assay import Arm, Claim, Estimate, Experiment, PerRun, Spec, Trained, grid, measures
from assay.core.spec import changed
from assay.core.stats import ratio


@dataclass(frozen=True, kw_only=True)
class Visit(Spec):
    level: PerRun[Annotated[int, Ge(1), Le(6)]] = 1
    """Of the world; the seed is the world's and the agent's."""
    agent: Literal["honest", "p-hacker", "lazy", "exhaustive", "guessing"] = "p-hacker"
    """Which agent by rule."""
    desk: Literal["plain", "assay", "assay-not-near"] = "assay"
    """What it has at hand."""


def measure(runs, trained, bench):
    rows = []
    for spec in runs.specs:
        world = World(spec.level, spec.seed)
        with tempfile.TemporaryDirectory() as folder:
            near = spec.desk == "assay"
            desk = (
                Plain(world)
                if spec.desk == "plain"
                else Judged(world, root=Path(folder) / "s", near=near)
            )
            reported = AGENTS[spec.agent](desk, spec.seed)
        right = [bool(world.planted[r.candidate, r.group]) for r in reported]
        covered = [r.low <= world.truth[r.candidate, r.group] <= r.high for r in reported]
        rows.append(
            (
                sum(right),
                len(right) - sum(right),
                world.planted.sum(),
                sum(covered),
                desk.looks,
                desk.spent,
            )
        )
    names = ("true", "false", "planted", "covered", "looks", "seeds")
    columns = np.array(rows, float).T
    return measures(runs, **{n: ("run", x, n) for n, x in zip(names, columns, strict=True)})


def beyond(name, share, against):
    """[seed]: how many more an arm reports than this share of what another arm reports."""
    return lambda arm, arms: by_seed(arm[name]) - share * by_seed(arms[against][name])


def beside(name, of, against):
    """What an arm reports, beside what another reports."""
    return lambda arms: {"own": by_seed(arms[of][name]), "all": by_seed(arms[against][name])}


def by_seed(x):
    """[seed]: the sum over levels."""
    return x.groupby("seed").sum()


def arm(agent, desk, note):
    return Arm(
        lambda runs, bench: Trained.nothing(runs), specs=changed(agent=agent, desk=desk), note=note
    )


ARMS = {
    "main": arm("p-hacker", "assay", "a p-hacker, through Assay"),
    **{
        f"{agent}-{desk}": arm(
            agent,
            desk,
            f"{agent}, {'through Assay' if desk == 'assay' else 'with arrays and t-tests'}",
        )
        for agent in AGENTS
        for desk in ("assay", "plain")
        if (agent, desk) != ("p-hacker", "assay")
    },
    "not-near": arm(
        "p-hacker",
        "assay-not-near",
        "a p-hacker through Assay, whose control is another candidate that is not loud",
    ),
}
WHERE = tuple(range(1, 7))
experiment = Experiment(
    arms=ARMS,
    measure=measure,
    claims=(
        Claim(
            text="Through Assay a p-hacker reports at most a tenth of the false discoveries "
            "that it reports alone",
            value=beyond("false", 0.1, "p-hacker-plain"),
            high=0.0,
            units=("seed",),
            unit="false discoveries beyond a tenth, in six worlds",
            must_fail=("exhaustive-plain",),
            near={"exhaustive-plain": "it is enough not to peek"},
            unlike=tuple(a for a in ARMS if a not in ("main", "exhaustive-plain")),
            threshold_from="plan: ten times fewer",
            source="docs/gym.md",
        ),
        Claim(
            text="Through Assay an honest agent reports at least nine tenths of the true "
            "discoveries that it reports alone",
            of="honest-assay",
            value=beyond("true", 0.9, "honest-plain"),
            low=0.0,
            units=("seed",),
            unit="true discoveries beyond nine tenths, in six worlds",
            must_fail=("lazy-assay", "guessing-assay"),
            near={"lazy-assay": "a single discovery would do"},
            unlike=tuple(
                a for a in ARMS if a not in ("honest-assay", "lazy-assay", "guessing-assay")
            ),
            threshold_from="plan: nine tenths",
            source="docs/gym.md",
        ),
        *(
            Estimate(
                text=text,
                value=beside(name, of, against),
                statistic=ratio("own", "all"),
                units=("seed",),
                unit=f"ratio of {name} discoveries",
                source="docs/gym.md",
            )
            for text, name, of, against in (
                ("The p-hacker through Assay, beside alone", "false", "main", "p-hacker-plain"),
                (
                    "The honest agent through Assay, beside alone",
                    "true",
                    "honest-assay",
                    "honest-plain",
                ),
                (
                    "The p-hacker where near controls do not come by themselves, beside alone",
                    "false",
                    "not-near",
                    "p-hacker-plain",
                ),
            )
        ),
    ),
    smoke=grid(Visit(), level=(1, 3), seed=range(2)),
    default=grid(Visit(), level=WHERE, seed=range(5010, 5034)),
    full=grid(Visit(), level=WHERE, seed=range(5010, 5050)),
    scope="six levels of planted worlds, agents by rule",
    seeds_per_group=1,
)
