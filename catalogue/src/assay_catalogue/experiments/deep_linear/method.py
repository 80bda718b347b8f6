"""The method of deep-linear: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float

from assay.core import PerRun, Spec, fit, rng
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Trained
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.worlds.linear import factors
from assay_catalogue.worlds.linear import one_mode as theory

START = 0.01
"""The start at which arms are compared."""
SHOWN = 81
"""Times at which curves are kept, from the start to the end."""


@dataclass(frozen=True, kw_only=True)
class DeepLinear(Spec):
    start: PerRun[float] = START
    """How much of each mode the layers hold at the start in the part that grows, ‖(a + b)/2‖² on
    average; balanced layers: u₀."""
    strengths: tuple[Annotated[float, Gt(0)], ...] = (4.0, 3.0, 2.0, 1.0)
    """Singular values of the map to be learned, descending: its modes."""
    size: int = 10
    """Inputs and outputs."""
    hidden: int = 100
    """Units between the layers; the fewer, the more modes overlap there and disturb each other."""
    lr: float = 0.0025
    """Rate of gradient descent: the time of one step, in units of τ."""
    steps: Annotated[int, Ge(1)] = 3_200
    """Training steps, on the whole loss."""
    layers: Literal[1, 2] = 2
    """Two, or one that starts as the product of the two."""
    split: Annotated[float, Gt(0)] = 1.0
    """What the second layer is multiplied by at the start, and the first divided by."""
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
        limit = 2.0 if self.layers == 1 else theory.stable_rate(s[0], self.imbalance)
        if not 0 < self.lr < limit:
            raise SpecError(
                f"DeepLinear.lr must be above 0 and below {limit:.3g}, where gradient descent "
                f"becomes unstable, got {self.lr:g}"
            )

    @property
    def imbalance(self) -> float:
        """About ‖a + b‖ ‖a − b‖ of a mode at the start."""
        spread = abs(self.split**2 - self.split**-2)
        return self.start * (spread if self.aligned else max(2.0, spread))


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
    """Both layers of each run at the start: a [run n h], b [run n h], the map is a bᵀ."""

    s, u0 = runs.shared, torch.from_numpy(runs.each("start"))[:, None, None]

    def draw_normal(name: str, *shape: int) -> torch.Tensor:
        return torch.from_numpy(
            rng.normal(runs.seeds, f"deep-linear.{name}", 0, shape).astype(np.float64)
        )

    if s.aligned:
        left_modes, right, _ = modes_and_map(runs)
        units = torch.linalg.qr(draw_normal("hidden", s.hidden, len(s.strengths)))[0].transpose(
            1, 2
        )
        params = {"a": u0.sqrt() * (left_modes @ units), "b": u0.sqrt() * (right @ units)}
    else:
        params = {
            side: (2 * u0 / s.hidden).sqrt() * draw_normal(side, s.size, s.hidden) for side in "ab"
        }
    if s.turned:
        turn = torch.linalg.qr(draw_normal("turn", s.hidden, s.hidden))[0]
        params = {side: x @ turn for side, x in params.items()}
    return {"a": params["a"] * s.split, "b": params["b"] / s.split}


def train(runs: Runs[DeepLinear], bench: Bench) -> Trained:
    s = runs.shared
    left_modes, right, A = modes_and_map(runs)
    params = layers(runs) if s.layers == 2 else factors.freed(layers(runs))
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
    left_modes, right, _ = modes_and_map(runs)
    start = layers(runs)
    a, b = (
        torch.einsum("rnk,rnh->rkh", d, start[side]).numpy()
        for d, side in ((left_modes, "a"), (right, "b"))
    )
    u0, imbalance = (a * b).sum(-1), theory.imbalance_of(a, b)
    probe_steps = np.linspace(0, s.steps - 1, SHOWN).round().astype(int)
    when = {
        f"t{round(100 * share)}": np.stack(
            [theory.reached(held[..., k], share * x) for k, x in enumerate(s.strengths)], -1
        )
        for share in (0.1, 0.5, 0.9)
    }
    curve = [
        [theory.deep(probe_steps * s.lr, x, *v) for x, *v in zip(s.strengths, *row, strict=True)]
        for row in zip(u0, imbalance, strict=True)
    ]
    half = [
        [theory.deep_time(0.5, x, *v) for x, *v in zip(s.strengths, *row, strict=True)]
        for row in zip(u0, imbalance, strict=True)
    ]
    even = [[theory.deep_time(0.5, x, u) for x in s.strengths] for u in runs.each("start")]
    return measures(
        runs,
        coords={"strength": s.strengths, "time": (probe_steps * s.lr).tolist()},
        **{name: ("run strength", s.lr * steps, "τ") for name, steps in when.items()},
        predicted=("run strength", np.array(half), "τ"),
        balanced=("run strength", np.array(even), "τ"),
        imbalance=("run strength", imbalance, "1"),
        held=("run time strength", held[:, probe_steps], "1"),
        off=(
            "run",
            np.abs(
                (held[:, probe_steps] - np.moveaxis(np.array(curve), 1, 2)) / np.array(s.strengths)
            ).max((1, 2)),
            "share of the strength",
        ),
        first=("run row column", factors.product(start), "1"),
    )
