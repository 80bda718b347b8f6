"""The method of deep-linear: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Float

from assay.core import PerRun, Spec, fit
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay.train import rng
from assay_catalogue.worlds.linear import factors
from assay_catalogue.worlds.linear import one_mode as theory

START = 0.01
"""The start at which arms are compared."""
MOST_LAYERS = 8
"""The most layers: with more of them curves hardly change, and training takes longer."""
SHOWN = 81
"""Times at which curves are kept, from the start to the end."""


@dataclass(frozen=True, kw_only=True)
class DeepLinear(Spec):
    start: PerRun[float] = START
    """How much of each mode the layers hold at the start in the part that grows, ‖(a + b)/2‖² on
    average; balanced layers: u₀. Each of L layers passes on the length of a vector times
    (2 · start)^{1/L} on average."""
    strengths: tuple[Annotated[float, Gt(0)], ...] = (4.0, 3.0, 2.0, 1.0)
    """Singular values of the map to be learned, descending: its modes."""
    size: int = 10
    """Inputs and outputs."""
    hidden: int = 100
    """Units between any two layers; the fewer, the more modes overlap there and disturb each
    other."""
    lr: float = 0.0025
    """Rate of gradient descent: the time of one step, in units of τ."""
    steps: Annotated[int, Ge(1)] = 3_200
    """Training steps, on the whole loss."""
    layers: Annotated[int, Ge(1), Le(MOST_LAYERS)] = 2
    """How many layers; one starts as the product of two."""
    split: Annotated[float, Gt(0)] = 1.0
    """What the last layer is multiplied by at the start, and the first divided by."""
    turned: bool = False
    """Whether the hidden units are another, rotated basis at the start."""
    aligned: bool = False
    """Whether the layers start along the modes, u₀ of each, and not at random."""

    def check(self) -> None:
        s = self.strengths
        if not s or list(s) != sorted(set(s), reverse=True):
            raise SpecError(f"DeepLinear.strengths descend, each once, and are above 0, got {s}")
        if len(s) > self.size:
            raise SpecError(
                f"DeepLinear.strengths are at most as many as the size: no {self.size} × "
                f"{self.size} map has rank {len(s)}"
            )
        if self.hidden < len(s):
            raise SpecError(
                f"DeepLinear.hidden must be at least the rank {len(s)}, got {self.hidden}"
            )
        if not 0 < self.start < s[-1]:
            raise SpecError(
                "DeepLinear.start lies above 0 and below every strength, the least of which "
                f"is {s[-1]:g}, got {self.start:g}"
            )
        gains = theory.split_gains(self.start, self.depth, self.split)
        limit = 2.0 if self.layers == 1 else theory.stable_rate(s[0], gains)
        if not 0 < self.lr < limit:
            raise SpecError(
                f"DeepLinear.lr must be above 0 and below {limit:.3g}, where gradient descent "
                f"becomes unstable, got {self.lr:g}"
            )

    @property
    def depth(self) -> int:
        """How many layers have the map of the start as their product."""
        return max(2, self.layers)


def modes_and_map(
    runs: Runs[DeepLinear],
) -> tuple[
    Float[torch.Tensor, "run n k"], Float[torch.Tensor, "run n k"], Float[torch.Tensor, "run n n"]
]:
    """Singular directions and the map of each run."""
    s = runs.shared
    left_modes, right = factors.modes(runs, s.size, s.strengths)
    return left_modes, right, factors.assembled(left_modes, right, s.strengths)


def layers(runs: Runs[DeepLinear]) -> dict[str, Float[torch.Tensor, "run n h"]]:
    """All layers of each run at the start: the last a [run n h], the first b [run n h] and those
    between them m₀, m₁, … [run h h]; the map is a m₀ m₁ … bᵀ."""
    s, u0 = runs.shared, torch.from_numpy(runs.each("start"))[:, None, None]
    middle = [f"m{i}" for i in range(s.depth - 2)]

    def draw_normal(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(
            rng.normal(runs.seeds, f"deep-linear.{name}", 0, shape).astype(np.float64)
        )

    if s.aligned:
        left_modes, right, _ = modes_and_map(runs)
        units = torch.linalg.qr(draw_normal("hidden", s.hidden, len(s.strengths)))[0].transpose(
            1, 2
        )
        gain = u0 ** (1 / s.depth)
        params = {"a": gain * (left_modes @ units), "b": gain * (right @ units)}
        params |= {name: gain * (units.transpose(1, 2) @ units) for name in middle}
    else:
        sizes = {**dict.fromkeys("ab", s.size), **dict.fromkeys(middle, s.hidden)}
        scale = ((2 * u0) ** (2 / s.depth) / s.hidden).sqrt()
        params = {name: scale * draw_normal(name, rows, s.hidden) for name, rows in sizes.items()}
    if s.turned:
        turn = torch.linalg.qr(draw_normal("turn", s.hidden, s.hidden))[0]
        params = {
            name: (turn.transpose(1, 2) @ x if name in middle else x) @ turn
            for name, x in params.items()
        }
    return {**params, "a": params["a"] * s.split, "b": params["b"] / s.split}


def train(runs: Runs[DeepLinear], bench: Bench, merged: bool = False) -> Trained:
    """Train the layers of each run; merged, one layer that starts as their product."""
    s = runs.shared
    left_modes, right, A = modes_and_map(runs)
    params = factors.freed(layers(runs)) if merged or s.layers == 1 else layers(runs)
    group = factors.gradient_descent(
        runs, params, factors.square(A.to(bench.device)), lr=np.full(len(runs), s.lr)
    )
    return fit(
        [factors.followed(group, left_modes, right)],
        lambda step: None,
        steps=s.steps,
        probe_at=range(1, s.steps + 1),
        bench=bench,
    )[0]


def measure(runs: Runs[DeepLinear], trained: Trained, bench: Bench) -> xr.Dataset:

    s = runs.shared
    held = np.stack(
        [trained.history[f"mode{k}"] for k in range(len(s.strengths))], -1
    )  # before each step
    probe_steps = np.linspace(0, s.steps - 1, SHOWN).round().astype(int)
    when = {
        f"t{round(100 * share)}": np.stack(
            [theory.reached(held[..., k], share * x) for k, x in enumerate(s.strengths)], -1
        )
        for share in (0.1, 0.5, 0.9)
    }
    start = layers(runs)
    half, imbalance, curve = foreseen(runs, start, probe_steps * s.lr)
    even = [
        [theory.balanced_time(0.5, x, u, s.depth) for x in s.strengths] for u in runs.each("start")
    ]
    return measures(
        runs,
        coords={"strength": s.strengths, "time": (probe_steps * s.lr).tolist()},
        **{name: ("run strength", s.lr * steps, "τ") for name, steps in when.items()},
        predicted=("run strength", half, "τ"),
        balanced=("run strength", np.array(even), "τ"),
        imbalance=("run strength", imbalance, "1"),
        held=("run time strength", held[:, probe_steps], "1"),
        off=(
            "run",
            np.abs((held[:, probe_steps] - np.moveaxis(curve, 1, 2)) / np.array(s.strengths)).max(
                (1, 2)
            ),
            "share of the strength",
        ),
        first=("run row column", factors.product(start), "1"),
    )


def foreseen(
    runs: Runs[DeepLinear], start: dict[str, torch.Tensor], times: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What theory gives for each run and mode: half times [run k], imbalances [run k], and curves
    [run k time].

    NaN where it gives nothing: for more than two layers that start at random."""
    s = runs.shared
    left_modes, right, _ = modes_and_map(runs)
    a, b = (
        torch.einsum("rnk,rnh->rkh", d, start[side]).numpy()
        for d, side in ((left_modes, "a"), (right, "b"))
    )
    u0, imbalance = (a * b).sum(-1), theory.imbalance_of(a, b)
    if s.depth == 2:
        modes = [
            [(x, *of) for x, *of in zip(s.strengths, *row, strict=True)]
            for row in zip(u0, imbalance, strict=True)
        ]
        half = np.array([[theory.deep_time(0.5, *mode) for mode in run] for run in modes])
        curve = np.array([[theory.deep(times, *mode) for mode in run] for run in modes])
    elif s.aligned:
        gains = [theory.split_gains(u, s.depth, s.split) for u in runs.each("start")]
        half = np.array([[theory.layered_time(0.5, x, g) for x in s.strengths] for g in gains])
        curve = np.array([[theory.layered(times, x, g) for x in s.strengths] for g in gains])
    else:
        half = imbalance = np.full_like(u0, np.nan)
        curve = np.full((*u0.shape, len(times)), np.nan)
    return half, imbalance, curve
