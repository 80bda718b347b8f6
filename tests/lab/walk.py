"""A random walk: ten lines that train like anything else, for tests of the lab.

Paper: none
Claim: the walk's end has a mean above 2 when it drifts
Baselines: still, a walk without drift
Cost: nothing
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from assay.core.claims import Claim, Exact, Finding
from assay.core.errors import ModelError
from assay.core.experiment import Arm, Experiment, Joint
from assay.core.fit import Group, fit
from assay.core.integrity import Mapped
from assay.core.measures import measures
from assay.core.spec import PerRun, Spec, changed, grid
from assay.lab.store import atomic
from assay.train.rng import normal


@dataclass(frozen=True, kw_only=True)
class Walk(Spec):
    drift: PerRun[float] = 1.0
    """Mean of a step."""
    steps: int = 20
    """Number of steps."""
    trouble: str = ""
    """What goes wrong: wrong, crash, crash-1001 (only with that seed), exit, nan."""


@dataclass(frozen=True, kw_only=True)
class Noise(Spec):
    MAPPED = frozenset({"acts.npy"})

    parts: int = 4


def mark(phase):
    """Tell the test where we are, and give it time to kill us there."""
    if "WALK_MARKS" in os.environ:
        with Path(os.environ["WALK_MARKS"]).open("a") as f:
            f.write(phase + "\n")
        time.sleep(
            float(os.environ.get("WALK_PAUSE", "0"))
            * (15 if phase in ("artefact", "measure") else 1)
        )


def harvest(folder):
    for i in range(4):  # continues where a kill left it
        if not (folder / f"{i}").exists():
            mark("artefact")
            (folder / f"{i}").write_text(str(i))
    # two blocks of hashes
    np.save(folder / "acts.npy", np.zeros((3000, 100), np.float32))


def walk(runs, bench):
    if runs.shared.trouble == "wrong":
        raise ModelError("no layer 99; layers: 0 to 29")
    place = bench.artefact(Noise(), harvest)
    shift = sum(float((place / f"{i}").read_text()) for i in range(4)) / 1000
    acts = Mapped(place / "acts.npy")
    drift = torch.as_tensor(runs.each("drift"))
    mark(
        f"trained {runs.seeds.tolist()} {runs.shared.trouble} "
        f"{sorted(set(runs.each('drift').tolist()))}"
    )

    def step(state, batch, at):
        mark("train")
        if runs.shared.trouble == "crash" or (
            runs.shared.trouble == "crash-1001" and 1001 in runs.seeds
        ):
            raise ZeroDivisionError("the walk fell")
        if runs.shared.trouble == "exit":
            os._exit(7)
        # 0, block by block
        seen = float(acts.rows(np.array([700 * at % 3000, 40 * at % 3000]), 100).sum())
        state["x"] += drift / runs.shared.steps + batch * 0.05 + shift + seen
        loss = state["x"].square()
        if runs.shared.trouble == "nan":
            return torch.where(torch.as_tensor(runs.seeds == 1001), torch.nan, loss)
        return loss

    state = {"x": torch.zeros(len(runs), dtype=torch.float64), "aux.n": torch.zeros(len(runs))}
    group = Group(runs, state, step, {"kind": "walk"})
    return fit(
        [group],
        lambda at: torch.as_tensor(normal(runs.seeds, "walk", at, ())),
        steps=runs.shared.steps,
        bench=bench,
    )[0]


def farther(runs, bench, before):
    mark(f"after {runs.seeds.tolist()}")
    return type(before)(
        {"x": before.tensors["x"] + 10.0},
        before.header,
        before.history,
        before.steps,
        before.diverged,
    )


def together(ensembles, bench):
    return [walk(runs, bench) for runs in ensembles]


def measure(runs, trained, bench):
    mark("measure")
    x = trained.tensors["x"]
    return measures(
        runs,
        coords={"step": trained.steps},
        end=("run", x, "1"),
        loss=("run step", trained.history["loss"], "1"),
    )


pair = Joint(together)
experiment = Experiment(
    arms={
        "main": Arm(pair),
        "still": Arm(pair, specs=changed(drift=0.0)),
        "far": Arm(farther, after="main"),
        "mirror": Arm(derive=lambda arms: arms["main"].assign(end=-arms["main"].end)),
    },
    measure=measure,
    claims=(
        Claim(
            text="The walk ends above 0.5",
            value=lambda arm, arms: arm.end,
            low=0.5,
            must_fail=("still", "mirror"),
            must_hold=("far",),
            threshold_from="theory",
            source="arithmetic",
        ),
        Exact(
            text="Far is main and ten",
            value=lambda arms: arms["far"].end - arms["main"].end,
            expected=10.0,
            tolerance=1e-5,
            source="arithmetic",
        ),
        Finding(text="Where it ends", value=lambda arms: arms["main"].end),
    ),
    smoke=grid(Walk(steps=4), seed=range(2)),
    default=grid(Walk(), seed=range(1000, 1006)),
    full=grid(Walk(steps=40), seed=range(1000, 1012)),
    seeds_per_group=2,
)


def slow(path):
    mark("store")
    quick(path)


if atomic.sync.__name__ != "slow":  # other copies of this file may have done so
    # a kill can then hit the store between any two files
    quick, atomic.sync = atomic.sync, slow
