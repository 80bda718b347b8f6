"""The method of grokking-efficiency: what one run is, how it is trained and what is measured of
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from assay.core import PerRun, Spec
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.worlds.modular import addition as modular
from assay_catalogue.worlds.modular import interference, spectrum
from assay_catalogue.worlds.modular import network as modular_network
from assay_catalogue.worlds.modular.addition import prime

PAIRS = 800
"""Training pairs of the grokked networks in the default preset; the arms' sizes are given beside
it, and scale with the preset's."""


@dataclass(frozen=True, kw_only=True)
class Grokking(Spec):
    pairs: PerRun[Annotated[int, Ge(1)]] = PAIRS
    """Unordered pairs in the training set, D; sets of one seed are nested."""
    lr: PerRun[Annotated[float, Gt(0)]] = 0.01
    """Adam's learning rate, constant."""
    decay: PerRun[Annotated[float, Ge(0)]] = 3e-5
    """w of the loss's (w/2)‖θ‖²: coupled L2."""
    p: int = 53
    """Modulus, a prime."""
    embed: Annotated[int, Ge(1)] = 64
    """Width of the embedding."""
    hidden: Annotated[int, Ge(1)] = 64
    """Hidden units."""
    labels: Literal["sums", "random"] = "sums"
    """What is learned: a + b mod p, or random labels, which can only be memorised."""
    steps: Annotated[int, Ge(1)] = 1_500
    """Full-batch steps."""
    pace: Annotated[float, Gt(0)] = 1.0
    """Adam's betas are .9 and .98 to this power: with a rate of c, c slows all of Adam alike."""
    continued: bool = False
    """Whether it goes on from a grokked network, on a part of its training set."""
    closely: bool = True
    """Whether the first fifth is looked at five times as often, for times of fit."""
    replicate: int = 0
    """Another independent draw of the same set-up: shifts every seed."""

    def check(self) -> None:
        prime(self.p)
        if self.pairs > (every := self.p * (self.p + 1) // 2):
            raise SpecError(
                f"Grokking.pairs must be 1 to {every:,} at p={self.p}, got {self.pairs}"
            )


def train(runs: Runs[Grokking], bench: Bench, before: Trained | None = None) -> Trained:
    s, seeds = runs.shared, runs.replicated().seeds
    params = (
        modular_network.start(seeds, s.p, s.embed, s.hidden) if before is None else before.tensors
    )
    task = lesson(runs)
    trained = modular_network.train(
        runs,
        params,
        task,
        steps=s.steps,
        lr=runs.each("lr"),
        decay=runs.each("decay"),
        betas=(0.9**s.pace, 0.98**s.pace),
        looks=looks(s),
        bench=bench,
    )
    trained.tensors["start_test"] = modular_network.evaluate(params, task)["test"]
    trained.tensors["start_norm"] = modular_network.norm(params)
    return trained


def lesson(runs: Runs[Grokking]) -> modular_network.Lesson:
    """What each run learns: labels and order by its seed, so that a grokked network goes on with
    the first of its own pairs."""
    s, seeds = runs.shared, runs.replicated().seeds
    labels = (
        modular.sums(s.p).expand(len(runs), -1)
        if s.labels == "sums"
        else modular.random_labels(seeds, s.p)
    )
    return modular_network.Lesson(
        s.p, modular.pairs(s.p), labels, modular.order(seeds, s.p), runs.each("pairs")
    )


def looks(s: Grokking) -> tuple[int, ...]:
    """The steps at which accuracy is taken: 60 evenly, and 60 in the first fifth where it is looked
    at closely."""
    even = np.linspace(s.steps / 60, s.steps, 60)
    early = np.linspace(s.steps / 300, s.steps / 5, 60 if s.closely else 0)
    return tuple(sorted({max(1, round(x)) for x in (*even, *early, s.steps / 2)}))


def measure(runs: Runs[Grokking], trained: Trained, bench: Bench) -> xr.Dataset:
    s, t = runs.shared, {k: v.cpu() for k, v in trained.tensors.items()}
    steps = np.array(looks(s))
    curve = {name: t[f"{name}_at"].numpy() for name in ("train", "test", "loss", "norm")}
    cost = curve["loss"] + runs.each("decay")[:, None] / 2 * curve["norm"]
    half = int(np.abs(steps - s.steps / 2).argmin())
    tenth, tenth_before = steps > 0.9 * s.steps, (steps > 0.45 * s.steps) & (steps <= steps[half])
    test = np.median(
        curve["test"][:, tenth], 1
    )  # Adam spikes now and then: the middle of several looks, not the last
    nu, best = cheapest(s, t, test, runs.each("decay"))  # [law, run]
    fit = reached(steps, curve["train"], 0.99)
    early = np.minimum(np.searchsorted(steps, 5 * np.nan_to_num(fit, nan=np.inf)), len(steps) - 1)
    return measures(
        runs,
        coords={"step": steps.tolist()},
        cost=("run", cost[:, -1], "nats"),
        cost_half=("run", cost[:, half], "nats"),
        train=("run", np.median(curve["train"][:, tenth], 1), "share of training pairs"),
        test=("run", test, "share of unseen pairs"),
        test_half=("run", np.median(curve["test"][:, tenth_before], 1), "share of unseen pairs"),
        start_test=("run", t["start_test"], "share of unseen pairs"),
        growth=(
            "run",
            curve["norm"][:, -1] / t["start_norm"].numpy(),
            "share of the squared norm at the start",
        ),
        late=("run", test - curve["test"][np.arange(len(test)), early], "share of unseen pairs"),
        fit=("run", fit, "steps"),
        grok=("run", reached(steps, curve["test"], 0.95), "steps"),
        nu=("run", nu[0], "squared norm"),
        nu_set=("run", nu[1], "squared norm"),
        best_cost=("run", best[0], "nats"),
        best_cost_set=("run", best[1], "nats"),
        train_curve=(
            "run step",
            curve["train"].round(4).astype(np.float32),
            "share of training pairs",
        ),
        test_curve=("run step", curve["test"].round(4).astype(np.float32), "share of unseen pairs"),
    )


def reached(
    steps: Int[np.ndarray, "look"], curve: Float[np.ndarray, "run look"], level: ArrayLike
) -> Float[np.ndarray, "run"]:
    """[run]: the step at which a curve [run, look] first reaches a level, by a straight line from
    the look before; NaN if never."""
    level = np.broadcast_to(level, len(curve))
    out = np.full(len(curve), np.nan)
    for r, (row, target) in enumerate(zip(curve, level, strict=True)):
        if (row >= target).any():
            i = int((row >= target).argmax())
            share = (target - row[i - 1]) / (row[i] - row[i - 1]) if i else 1.0
            out[r] = steps[i - 1] + share * (steps[i] - steps[i - 1]) if i else steps[0]
    return out


def cheapest(
    s: Grokking,
    params: Mapping[str, torch.Tensor],
    test: Float[np.ndarray, "run"],
    decay: Float[np.ndarray, "run"],
) -> tuple[Float[np.ndarray, "law run"], Float[np.ndarray, "law run"]]:
    """(ν, J of the cheapest circuit of its set at that ν), both [law, run], of each grokked
    network.

    ν is squared norm over Σ A^(2/3) of all its frequencies; then, of those in its set: those with
    more than a tenth of the largest amplitude. NaN where unseen pairs are not answered.
    """
    nu, best = np.full((2, 2, len(test)), np.nan)
    grokked = np.flatnonzero((test >= 0.9) & (s.labels == "sums") & (not s.continued))
    if len(grokked):
        some = {name: params[name][grokked] for name in modular_network.NAMES}
        A = spectrum.amplitudes(some).numpy().clip(min=0)
        inside = 0.1 * A.max(1, keepdims=True) < A
        for law, over in enumerate((A, A * inside)):
            nu[law, grokked] = modular_network.norm(some).numpy() / (over ** (2 / 3)).sum(1)
            for r, chosen in zip(grokked, interference.sets_of(inside), strict=True):
                best[law, r] = interference.optimum(
                    [chosen], s.p, decay=float(decay[r]), nu=float(nu[law, r])
                ).objective[0]
    return nu, best
