"""The method of superposition-llc: what one run is, how it is trained and what is measured of
it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt

from assay.core import Spec, descent, fit
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained, watched
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.analysis.sampler import n_beta_of
from assay_catalogue.worlds.bottleneck import polygons
from assay_catalogue.worlds.potentials.learning_coefficient import stationary_quadratic

WITHIN = 0.01
"""Share of a level within which a loss is at it."""
STEEPEST = 2.0
"""The largest curvature there is at these states: of the bias of a column that is always on."""
MOMENTS = ("end", "left")
"""Where a training ended, and the state of fewer sides that it left last, or in its place the one
half way."""
CHAINS = 2
"""Chains at each of these."""
BLOCKS = 100
"""Draws are a multiple of this."""


@dataclass(frozen=True, kw_only=True)
class SuperpositionLLC(Spec):
    columns: Annotated[int, Ge(3)] = 6
    """Features of the model, each a column of the weights, in two dimensions."""
    around: str = ""
    """The polygon that starts scatter around; empty: around no weights and biases at all."""
    start: Annotated[float, Ge(0)] = 0.05
    """Standard deviation of the weights at the start."""
    bias: Annotated[float, Ge(0)] = 0.0
    """Standard deviation of the biases at the start."""
    relu: bool = True
    """Whether the output passes a ReLU."""
    lr: Annotated[float, Gt(0), Lt(1), "where gradient descent becomes unstable"] = 0.1
    """Rate of gradient descent, stable below 1."""
    steps: Annotated[int, Ge(2)] = 6_000
    """Training steps."""
    data: Annotated[int, Ge(0)] = 0
    """Inputs that each run draws once and trains on; 0: all of them, by the expected loss in closed
    form."""
    batch: Annotated[int, Ge(1)] = 100
    """Of these, inputs a step."""
    samples: Annotated[int, Ge(2)] = 1_000_000
    """n in n/ln n, the inverse temperature of the chains; no data are drawn for them."""
    localisation: float = 100.0
    """Strength of the pull towards the state that a chain starts at."""
    step: float = 1e-6
    """The chains' step, the variance of their noise."""
    draws: int = 8_000
    """Steps of a chain, the burn-in included; a multiple of 100."""
    burn: Annotated[int, Ge(0)] = 2_000
    """Steps of the burn-in."""
    passing: bool = False
    """Whether noise is taken out of the end, and chains also start at the state of fewer sides that
    a training left last."""
    replicate: int = 0
    """Another independent draw of the same chains: shifts every seed."""

    def check(self) -> None:
        polygons.parse_state(self.around or "0", self.columns)
        if not self.localisation > 0:
            raise SpecError(
                "SuperpositionLLC.localisation, the pull towards the state, must be above 0: "
                "without it chains wander off along "
                f"what the loss leaves free, got {self.localisation:g}"
            )
        if self.draws % BLOCKS or not self.burn < self.draws:
            raise SpecError(
                f"SuperpositionLLC.draws is a multiple of {BLOCKS} above burn={self.burn}, "
                f"got {self.draws}"
            )
        stiff = self.samples / math.log(self.samples) * STEEPEST + self.localisation
        if not 0 < self.step * stiff < 4:
            raise SpecError(
                f"SuperpositionLLC.step must be above 0 and below {4 / stiff:.3g}, where the "
                "steepest direction becomes unstable, "
                f"got {self.step:g}"
            )


def train(runs: Runs[SuperpositionLLC], bench: Bench) -> Trained:

    from assay_catalogue.worlds.bottleneck import one_hot, stages

    s = runs.shared
    params = one_hot.start(runs, s.columns, s.start, s.bias)
    if s.around:
        centre = polygons.weights(polygons.parse_state(s.around, s.columns), s.columns, dead=0.0)
        params = {k: v + torch.from_numpy(centre[k]) for k, v in params.items()}

    def loss(p: dict[str, torch.Tensor], batch: Any) -> torch.Tensor:
        return one_hot.batch_loss(p, batch, s.relu) if s.data else one_hot.potential(p, s.relu)

    batches = one_hot.batches(runs, s.columns, s.data, s.batch) if s.data else lambda step: None
    group = watched(
        descent(runs, params, loss, lr=np.full(len(runs), s.lr), plain=True),
        ("W", "b"),
        stages.moments(s.steps),
    )
    return fit([group], batches, steps=s.steps, bench=bench)[0]


def sampler_settings(s: SuperpositionLLC) -> dict[str, Any]:
    """The chains' settings, by name."""
    return {
        name: getattr(s, name)
        for name in ("samples", "localisation", "step", "draws", "burn", "relu")
    }


def chains_at_ends(runs: Runs[SuperpositionLLC], bench: Bench, before: Trained) -> Trained:
    """Chains at the end of each training; if asked, with the noise taken out, and at the state that
    it left last as well."""

    from assay_catalogue.worlds.bottleneck import stages

    s = runs.shared
    end = np.full(len(runs), len(stages.moments(s.steps)) - 1)
    has_left, moments = np.zeros(len(runs), bool), [end]
    if s.passing:
        _, last, has_left = stages.passages(before, s.steps, s.columns)
        moments += [last]
    states = stages.select_moments(before, np.stack(moments, 1))
    if s.passing:
        states = stages.settled(states)
    estimates, diverged = stages.sample_each(
        runs.replicated().seeds * 10_000 + 7_000, states, CHAINS, **sampler_settings(s), bench=bench
    )
    return Trained(
        states | estimates | {"left": torch.from_numpy(has_left)},
        {},
        {},
        np.array([], int),
        diverged | before.diverged,
    )


def measure(runs: Runs[SuperpositionLLC], trained: Trained, bench: Bench) -> xr.Dataset:
    """Loss along the course, plateaus and what is left of them, and the polygon at the end."""
    from assay_catalogue.worlds.bottleneck import stages

    s = runs.shared
    loss, (middle, has_left) = (
        stages.losses(trained, s.relu),
        stages.standing(trained, s.steps, s.relu),
    )
    sides, positive, off = polygons.nearest(loss[:, -1], s.columns)
    low = stages.curvatures(stages.select_moments(trained, middle), s.relu)[..., 0]
    return measures(
        runs,
        coords={"time": stages.moments(s.steps)},
        loss=("run time", loss.astype(np.float32), "squared input"),  # drawn, in no claim
        off=("run", off, "share of the level"),
        sides=("run", sides, "sides"),
        positive=("run", positive, "columns"),
        lowest=("run plateau", np.where(middle < 0, np.nan, low), "squared input"),
        left=("run plateau", has_left, "bool"),
        W=("run column axis", trained.tensors["W"].float(), "1"),
        b=("run column", trained.tensors["b"], "input"),
    )


def measure_passages(runs: Runs[SuperpositionLLC], trained: Trained, bench: Bench) -> xr.Dataset:
    """Of trainings that start around a polygon: the sides of the states that they are in, noise
    taken out, and whether they got more."""
    from assay_catalogue.worlds.bottleneck import stages

    s = runs.shared
    sides, _, more = stages.passages(trained, s.steps, s.columns)
    times = stages.moments(s.steps)[-sides.shape[1] :]
    return measures(
        runs,
        coords={"time": times},
        sides=("run time", sides, "sides"),
        passed=("run", more.astype(float), "bool"),
    )


def measure_chains(runs: Runs[SuperpositionLLC], trained: Trained, bench: Bench) -> xr.Dataset:
    """Estimates at the ends of trainings, and the states that they are of."""
    from assay_catalogue.worlds.bottleneck import one_hot, stages

    s, t = runs.shared, trained.tensors
    dims, coords = (
        ("run moment", {"moment": MOMENTS[: t["llc"].shape[1]]})
        if t["llc"].ndim > 1
        else ("run", {})
    )
    low = stages.curvatures(t, s.relu)
    loss = (
        one_hot.potential({"W": t["W"].flatten(0, -3), "b": t["b"].flatten(0, -2)}, s.relu)
        .view(t["llc"].shape)
        .cpu()
        .numpy()
    )
    sides, positive, off = polygons.nearest(loss, s.columns)
    extra = {"left": ("run", t["left"], "bool")} if "left" in t else {}
    return measures(
        runs,
        coords=coords,
        **extra,
        llc=(dims, t["llc"], "1"),
        moved=(dims, t["moved"].float(), "1"),
        accepted=(dims, t["accepted"].float(), "share of steps"),
        at=(dims, loss, "squared input"),
        sides=(dims, np.where(abs(off) <= WITHIN, sides, np.nan), "sides"),
        positive=(dims, positive, "columns"),
        lowest=(dims, low[..., 0], "squared input"),
        curved=(dims, (low > stages.CURVED).sum(-1).astype(float), "directions"),
        expected=(
            dims,
            stationary_quadratic(low.clip(0), n_beta_of(s.samples), s.localisation, s.step),
            "1",
        ),
    )
