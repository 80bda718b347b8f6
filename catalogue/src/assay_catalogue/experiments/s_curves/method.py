"""The method of s-curves: what one run is, how it is trained and what is measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float

from assay.core import PerRun, Spec, fit
from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import State
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay.core.runs import Runs
from assay_catalogue.analysis import plateaus
from assay_catalogue.worlds.linear import factors
from assay_catalogue.worlds.linear.factors import Loss

if TYPE_CHECKING:
    from assay.core.fit import Trained

DEPTH, SHARE, LEFT = (
    "share of the fastest descent",
    "share of seeds",
    "share of the loss at the start",
)
PROMINENCES = (0.02, 0.05, 0.1, 0.2)
"""How far a drop has to stand out to count, as shares of the fastest one. A claim about drops has
to be true at all of them."""


@dataclass(frozen=True, kw_only=True)
class SCurves(Spec):
    start: PerRun[Annotated[float, Gt(0)]] = 0.3
    """Standard deviation of the factors' entries at the start."""
    lr: PerRun[Annotated[float, Gt(0)]] = 0.02
    """Gradient descent: n × scale × its rate, since the curvature grows like n × scale. Adam: its
    rate."""
    n: Annotated[int, Ge(2)] = 100
    """Rows and columns of the target."""
    ranks: tuple[Annotated[int, Ge(1)], ...] = (1, 2, 10, 100)
    """Ranks of target and model, each trained by itself on a target of its own."""
    scale: Annotated[float, Gt(0)] = 1.0
    """What a target whose entries have variance 1 is multiplied by."""
    positive: Literal["", "a", "ab"] = ""
    """Factors of the target that have no negative entry; "ab" makes the model start so, too."""
    loss: Literal["square", "row-kl", "raw", "normalised", "generalised"] = "square"
    """½Σ(A − Z)²; cross-entropy with both matrices as logits; with both as they are; with Z's rows
    normalised; generalised KL."""
    free: bool = False
    """Whether the matrix itself is learned, from the same starting function, in place of its
    factors."""
    adam: bool = False
    """Adam, in place of plain gradient descent. Both see the whole loss at each step."""
    steps: Annotated[int, Ge(20)] = 1_500
    """Training steps."""
    replicate: PerRun[int] = 0
    """Which of several independent draws of the same set-up with this seed."""

    def check(self) -> None:
        if not self.ranks or list(self.ranks) != sorted(set(self.ranks)):
            raise SpecError(f"SCurves.ranks are rising numbers from 1 on, got {self.ranks}")
        if self.ranks[-1] > self.n:
            raise SpecError(
                f"SCurves.ranks must be at most n: no {self.n} × {self.n} matrix has rank "
                f"{self.ranks[-1]}"
            )


def target_and_loss(
    runs: Runs[SCurves], rank: int, device: torch.device | str = "cpu"
) -> tuple[Float[torch.Tensor, "run n n"], Loss]:
    """The target of each run at a rank, and the loss it makes."""
    losses = {
        "square": factors.square,
        "row-kl": factors.row_kl,
        "raw": factors.raw_cross_entropy,
        "normalised": factors.normalised_cross_entropy,
        "generalised": factors.generalised_kl,
    }
    s = runs.shared
    A = (s.scale * factors.target(runs.replicated(), s.n, rank, s.positive)).to(device)
    return A, losses[s.loss](A)


def factors_at_start(runs: Runs[SCurves], rank: int) -> State:
    """The factors of each run at the start."""
    return factors.start(
        runs.replicated(),
        runs.shared.n,
        rank,
        runs.each("start"),
        "ab" if runs.shared.positive == "ab" else "",
    )


def rates(runs: Runs[SCurves]) -> Float[np.ndarray, "run"]:
    """[run]: the rate of each run's steps."""
    s = runs.shared
    return runs.each("lr") / (1.0 if s.adam else s.n * s.scale)


def train(runs: Runs[SCurves], bench: Bench) -> Trained:
    from assay.core import Trained

    s, groups = runs.shared, []
    for rank in s.ranks:
        A, loss = target_and_loss(runs, rank, bench.device)
        if s.loss == "square" and not s.adam:
            factors.check_step(runs.each("lr"), A, s.free, per=s.n * s.scale)
        params = (
            factors.freed(factors_at_start(runs, rank)) if s.free else factors_at_start(runs, rank)
        )
        groups.append(
            (factors.adam if s.adam else factors.gradient_descent)(
                runs, params, loss, lr=rates(runs)
            )
        )
    trainings = fit(
        groups, lambda step: None, steps=s.steps, probe_at=range(1, s.steps + 1), bench=bench
    )
    trained_by_rank = list(zip(s.ranks, trainings, strict=True))
    return Trained(
        tensors={
            f"{name}{rank}": x for rank, t in trained_by_rank for name, x in t.tensors.items()
        },
        header={},
        history={f"loss{rank}": t.history["loss"] for rank, t in trained_by_rank},
        steps=trainings[0].steps,
        diverged=np.any([t.diverged for t in trainings], axis=0),
    )


def shown_steps(steps: int) -> list[int]:
    """The steps at which figures show the loss: evenly and logarithmically spread."""
    return sorted(
        {round(t) for t in (*np.geomspace(1, steps - 1, 36), *np.linspace(1, steps - 1, 24))}
    )


def measure(runs: Runs[SCurves], trained: Trained, bench: Bench) -> xr.Dataset:
    s = runs.shared
    rows: dict[str, list] = {
        name: []
        for name in ("depth", "drops", "t90", "t50", "t10", "left", "curve", "off", "drops_half")
    }
    for rank in s.ranks:
        A, loss = target_and_loss(runs, rank, bench.device)
        least = loss(A)[0].cpu().numpy()[:, None]
        excess = trained.history[f"loss{rank}"] - least  # after 0, 1, … updates
        share = excess / excess[:, :1]
        statistics = {
            "depth": plateaus.depth(excess),
            "left": share[:, -1],
            "curve": share[:, shown_steps(s.steps)],
        }
        statistics |= {f"t{p}": plateaus.time_to(excess, p / 100) for p in (90, 50, 10)}
        for name, window in (("drops", excess), ("drops_half", excess[:, : s.steps // 2])):
            statistics[name] = np.stack([plateaus.drops(window, p) for p in PROMINENCES], axis=-1)
        statistics["off"] = distance(trained.tensors, rank, A)
        for name, values in statistics.items():
            rows[name].append(values)
    arrays = {name: np.stack(values, axis=1) for name, values in rows.items()}
    # Curves take more room than all else; those of Adam are not shown.
    shown = {"curve": ("run rank time", arrays["curve"].astype(np.float32), LEFT)}
    return measures(
        runs,
        coords={"rank": s.ranks, "time": shown_steps(s.steps), "prominence": PROMINENCES},
        depth=("run rank", arrays["depth"], DEPTH),
        drops=("run rank prominence", arrays["drops"], "drops"),
        drops_half=("run rank prominence", arrays["drops_half"], "drops"),
        t90=("run rank", arrays["t90"], "steps"),
        t50=("run rank", arrays["t50"], "steps"),
        t10=("run rank", arrays["t10"], "steps"),
        left=("run rank", arrays["left"], LEFT),
        off=("run rank", arrays["off"], "share of the target's norm"),
        predicted=("run", predicted(runs), "steps"),
        **({} if s.adam else shown),
    )


def distance(
    tensors: Mapping[str, torch.Tensor], rank: int, A: Float[torch.Tensor, "run n n"]
) -> Float[np.ndarray, "run"]:
    """[run]: ‖Z − A‖ over ‖A‖ of what was learned at a rank."""
    Z = factors.product(
        {name: tensors[f"{name}{rank}"] for name in ("Z", "a", "b") if f"{name}{rank}" in tensors}
    )
    return ((Z - A).flatten(1).norm(dim=1) / A.flatten(1).norm(dim=1)).cpu().numpy()


def predicted(runs: Runs[SCurves]) -> Float[np.ndarray, "run"]:
    """[run]: the step at which the scalar solution has lost half its loss, from how far the start
    points at the rank-1 target.

    NaN where it says nothing: free matrices, Adam, other losses.
    """
    s = runs.shared
    if s.free or s.adam or s.loss != "square":
        return np.full(len(runs), np.nan)
    true, starts = (
        factors.pair(runs.replicated(), "factors.target", s.n, 1),
        factors_at_start(runs, 1),
    )
    length = {side: x.norm(dim=(1, 2)).numpy() for side, x in true.items()}
    overlap = sum(
        (true[side] * starts[side]).sum((1, 2)).numpy() / length[side] for side in "ab"
    )  # what grows is their sum
    sigma = s.scale * length["a"] * length["b"]
    times = [factors.rank_one_time(x, abs(u) / 2, 0.5) for x, u in zip(sigma, overlap, strict=True)]
    return np.array(times) / rates(runs)
