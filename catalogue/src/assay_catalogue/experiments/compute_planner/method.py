"""The method of compute-planner: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Interval
from jaxtyping import Float

from assay.core import PerRun, Spec, descent, fit
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.intervals import interval
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.data import planted
from assay_catalogue.experiments.compute_planner.flop import training
from assay_catalogue.experiments.compute_planner.widths import Spread, spread

FEW, MANY = 6, 24
"""Toys of a pilot, and of what is planned from it: four times as many."""
TIMED = {
    "deep-linear": (("steps=20", "seed=200:202"), ("seed=200:224",)),
    "superposition-phase": (
        ("steps=20", "densities=0.1,1.0", "relative=0.4", "seed=200:208"),
        ("steps=500", "relative=0.2", "seed=200:208"),
    ),
    "features-per-dimension": (("steps=20", "net_steps=20", "seed=200:202"), ("seed=200:224",)),
    "eval-schedule": (("steps=32", "seed=200:202"), ("steps=1024", "seed=200:208")),
    "superposition-llc": (("steps=100", "seed=200:202"), ("steps=1500", "seed=200:208")),
    "llc": (
        ("burn_in=160", "steps=400", "seed=200:202"),
        ("burn_in=2000", "steps=5000", "seed=200:208"),
    ),
    "myopia": (
        ("steps=20", "updates=20", "seed=200:202"),
        ("steps=1000", "updates=500", "seed=200:202"),
    ),
    "sgd-noise": (("steps=20", "minibatches=50", "subset=64", "seed=200:202"), ("seed=200:208",)),
}
"""Experiments that need no language model and from which no number of the planner comes, each at
two sizes far apart.

Their seeds are none of the judged ones. The larger sizes are those for which about 20 CPU-seconds
are planned. The two that are left out, belief-states and gated-ablations, have no command for which
fewer than 10 are planned. """


@dataclass(frozen=True, kw_only=True)
class Planner(Spec):
    density: PerRun[Annotated[float, Interval(gt=0, le=1)]] = 1.0
    """Probability that a feature of the toys is active; one run is all toys of one density, drawn
    by the run's seed."""
    entry: PerRun[str] = ""
    """The experiment that is timed instead; set by the arm `timed`."""
    toys: Annotated[int, Ge(2 * MANY)] = 192
    """Toys in a run: a multiple of 24."""
    blocks: Annotated[int, Ge(2)] = 24
    """Blocks of held-out inputs that all toys of a run are measured on."""
    entries: Annotated[int, Interval(ge=1, le=len(TIMED))] = 8
    """How many experiments the arm `timed` times."""
    sizes: Annotated[int, Interval(ge=1, le=2)] = 2
    """At how many sizes: with very few steps and seeds, then with more of both."""
    features: Annotated[int, Ge(1)] = 8
    """Input features of a toy."""
    width: Annotated[int, Ge(1)] = 3
    """Dimensions of its bottleneck."""
    steps: Annotated[int, Ge(1)] = 300
    """Training steps."""
    batch: Annotated[int, Ge(1)] = 32
    """Inputs a step, drawn fresh."""
    lr: Annotated[float, Gt(0)] = 1e-2
    """Adam's learning rate."""

    def check(self) -> None:
        if self.toys % MANY:
            raise SpecError(
                f"Planner.toys is a multiple of {MANY}, so that pilots have others to plan, "
                f"got {self.toys}"
            )
        if self.entry and self.entry not in TIMED:
            raise SpecError(f"Planner.entry is one of {', '.join(TIMED)}, got {self.entry!r}")

    @property
    def trainings(self) -> str:
        """What is trained or timed, in words."""
        if self.entry:
            return "experiments of this program without a language model, on this machine"
        return f"toys of {self.features} features in {self.width} dimensions"


def replicas(runs: Runs[Planner]) -> Runs:
    """The toys of all runs as runs of their own: a run's seed draws a hundred others for them."""
    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    pairs = zip(runs.seeds.tolist(), runs.each("density").tolist(), strict=True)
    return Runs(
        [toy.Model(seed=seed * 1000 + i, density=p) for seed, p in pairs for i in range(s.toys)]
    )


def train(runs: Runs[Planner], bench: Bench) -> Trained:
    """W [run toy f d] and b [run toy f]; the commands of a timed run are measured, not trained."""
    from assay_catalogue.worlds.bottleneck import toy

    s, toy_runs = runs.shared, replicas(runs)
    if runs.each("entry")[0]:
        return Trained.nothing(runs)
    start = toy.bottleneck(toy_runs, s.features, s.width)
    params = {name: t.unflatten(0, (len(runs), s.toys)).contiguous() for name, t in start.items()}

    def loss(p: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        flat = {name: t.flatten(0, 1) for name, t in p.items()}
        return (
            toy.mean_square(toy.reconstruct(flat, x), x).unflatten(0, (-1, s.toys)).sum(1)
        )  # [run]

    batches = planted.sparse_features(toy_runs, s.features, s.batch)
    return fit(
        [descent(runs, params, loss, lr=np.full(len(runs), s.lr))],
        batches,
        steps=s.steps,
        bench=bench,
    )[0]


def held_out(runs: Runs[Planner], trained: Trained) -> Float[np.ndarray, "run toy block"]:
    """[run, toy, block]: loss on 8 inputs a block; the blocks of a run are the same for all of its
    toys."""

    from assay_catalogue.worlds.bottleneck import toy

    s = runs.shared
    inputs = planted.sparse_features(runs, s.features, 8 * s.blocks, stream="blocks")(
        0
    )  # [run, b, f]
    losses = []
    for i in range(len(runs)):
        params = {name: t[i].cpu() for name, t in trained.tensors.items()}
        off = (toy.reconstruct(params, inputs[i]) - inputs[i]).square().mean(-1)  # [toy, b]
        losses.append(off.unflatten(1, (s.blocks, 8)).mean(-1))
    return torch.stack(losses).double().numpy()


def spread_of_mean(x: Float[np.ndarray, "toy block"], factors: int) -> Spread:
    """The half-width of the 95% interval of a mean over toys, or over toys and blocks, and the
    Spread it makes."""
    return spread(
        interval(
            {"x": x if factors == 2 else x.mean(1)}, lambda m: m["x"], factors=factors, draws=1
        )
    )


def planned_half_widths(loss: Float[np.ndarray, "toy block"]) -> dict[str, list[float]]:
    """Half-widths [pilot] of one run, planned from every pilot of 6 toys for 24, and those that 24
    other toys have, by kind."""
    groups = loss.reshape(-1, MANY, loss.shape[1])
    half_widths = {}
    for kind, factors in (("seeds", 1), ("crossed", 2)):
        actual = [spread_of_mean(g, factors).half_width for g in groups]
        pilots = [
            [spread_of_mean(g[i : i + FEW], factors) for i in range(0, MANY, FEW)] for g in groups
        ]
        half_widths[f"{kind}_planned"] = [p.expected(MANY) for group in pilots for p in group]
        half_widths[f"{kind}_naive"] = [
            p.if_all_narrow().expected(MANY) for group in pilots for p in group
        ]
        half_widths[f"{kind}_actual"] = [
            actual[(i + 1) % len(actual)] for i, group in enumerate(pilots) for _ in group
        ]
    return half_widths


def half_widths_by_size(
    loss: Float[np.ndarray, "toy block"], sizes: Sequence[int]
) -> Float[np.ndarray, "kind size"]:
    """Half-widths [kind, size] as shares of the mean loss: planned from the first six toys, and as
    they came out."""
    rows = []
    for factors in (1, 2):
        pilots = [spread_of_mean(g[:FEW], factors) for g in loss.reshape(-1, MANY, loss.shape[1])]
        rows.append([np.mean([p.expected(n) for p in pilots]) for n in sizes])
        parts = [loss[: len(loss) // n * n].reshape(-1, n, loss.shape[1]) for n in sizes]
        rows.append(
            [np.mean([spread_of_mean(g, factors).half_width for g in part]) for part in parts]
        )
    return np.array(rows) / loss.mean()


SIZES = (6, 12, 24, 48)


def measure(runs: Runs[Planner], trained: Trained, bench: Bench) -> xr.Dataset:
    if runs.each("entry")[0]:
        return timed(runs)
    loss = held_out(runs, trained)
    half_widths = [planned_half_widths(x) for x in loss]
    curves = np.stack([half_widths_by_size(x, SIZES) for x in loss])
    flop = toy_flop(runs.shared)
    return measures(
        runs,
        coords={"toys_bought": SIZES},
        **{
            name: ("run pilot", np.array([f[name] for f in half_widths]), "squared input")
            for name in half_widths[0]
        },
        curve_planned=("run kind toys_bought", curves[:, ::2], "share of the loss"),
        curve_actual=("run kind toys_bought", curves[:, 1::2], "share of the loss"),
        loss=("run toy", loss.mean(-1), "squared input"),
        flop_per_toy=("run", np.full(len(runs), flop), "FLOP"),
    )


def timed(runs: Runs[Planner]) -> xr.Dataset:
    """Planned ranges, what came out and the load meanwhile, [run, size], of each run's experiment,
    each command in an empty store."""

    from assay_catalogue.experiments.compute_planner.commands import ran

    shape = (len(runs), 2)
    values = {
        name: np.full(shape, np.nan)
        for name in (
            "seconds_low",
            "seconds_high",
            "cpu_low",
            "cpu_high",
            "seconds",
            "cpu",
            "crowded",
        )
    }
    for i, entry in enumerate(runs.each("entry").tolist()):
        for j, sets in enumerate(TIMED[entry][: runs.shared.sizes]):
            words = [word for text in sets for word in ("--set", text)]
            with tempfile.TemporaryDirectory(prefix="assay-planner-") as root:
                plan = ran("plan", entry, *words, "--executor", "inline", root=root).told
                took = ran("run", entry, *words, "--executor", "inline", root=root)
            values["seconds_low"][i, j], values["seconds_high"][i, j] = plan["command_seconds"] or (
                np.nan,
                np.nan,
            )
            values["cpu_low"][i, j], values["cpu_high"][i, j] = plan["command_cpu_seconds"] or (
                np.nan,
                np.nan,
            )
            values["seconds"][i, j], values["cpu"][i, j], values["crowded"][i, j] = (
                took.seconds,
                took.cpu_seconds,
                took.load,
            )
    units = dict.fromkeys(values, "s") | {"crowded": "seconds a CPU-second"}
    return measures(
        runs,
        coords={"size": ["small", "larger"]},
        **{name: ("run size", x, units[name]) for name, x in values.items()},
    )


def toy_flop(s: Planner) -> float:
    """FLOP of training one toy: W is multiplied twice, forward and backward."""
    return training(2 * s.features * s.width, s.steps * s.batch).low
