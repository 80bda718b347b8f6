"""Optimisers on a slope that samples disturb, with a run axis: minibatches, added noise, accepted
mutations, evolution strategies.

Two coordinates have a true gradient of 0 and examples' gradients a·g and c·g; the third has the
same gradient for every example, the others none. As nothing depends on the position, steps are
drawn in stretches of time. Sources point uphill, as gradients do; `walk` goes the other way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.core.fit import Group, State
from assay.core.heavy import scipy, torch
from assay.core.runs import Runs
from assay.train import rng

Steps: TypeAlias = 'Float[torch.Tensor, "run time n"]'
Source = Callable[[int], Steps]
"""The number of a stretch of time → its gradients or steps."""
KEPT = 4
"""Steps that each run keeps as they are, for a picture."""


@dataclass(frozen=True)
class Slope:
    """The runs' slope, how many steps a stretch of time has, and after what their random numbers
    are named."""

    name: str
    """Slopes of other names, and the same seeds, share no random number."""
    seeds: Int[np.ndarray, " run"]
    a: Float[np.ndarray, " run"]
    c: Float[np.ndarray, " run"]
    spread: float
    """Standard deviation of g."""
    drift: float
    """The true gradient, along the third coordinate."""
    batch: int
    n: int
    times: int
    """Steps in a stretch."""

    def gradient(self, g: Float[np.ndarray, "run time"]) -> Float[np.ndarray, "run time n"]:
        """Gradients of minibatches in which g has this mean, float64."""
        out = np.zeros((*g.shape, self.n))
        out[..., 0], out[..., 1], out[..., 2] = self.a[:, None] * g, self.c[:, None] * g, self.drift
        return out


# --- gradients ------------------------------------------------------------------------------------


def minibatches(slope: Slope, law: Literal["normal", "exponential"] = "normal") -> Source:
    """Minibatch gradients; each example's g is drawn afresh, normal or (to be skewed) exponential
    less its mean."""
    shape = (slope.times, slope.batch)

    def draw(stretch: int) -> Steps:
        if law == "normal":
            g = rng.normal(slope.seeds, f"stepping.{slope.name}.normal", stretch, shape).astype(
                np.float64
            )
        else:
            g = (
                -np.log1p(
                    -rng.uniform(
                        slope.seeds, f"stepping.{slope.name}.exponential", stretch, shape
                    ).astype(np.float64)
                )
                - 1
            )
        return torch.from_numpy(slope.gradient(slope.spread * g.mean(-1)))

    return draw


def epochs(slope: Slope, examples: int) -> Source:
    """Minibatch gradients without replacement: a set of examples, standardised, in a new order each
    epoch; a rest is left out."""
    g = rng.normal(slope.seeds, f"stepping.{slope.name}.examples", 0, (examples,)).astype(
        np.float64
    )
    g = (g - g.mean(1, keepdims=True)) / g.std(1, keepdims=True)
    batches_per_epoch = examples // slope.batch
    many = -(-slope.times // batches_per_epoch)

    def draw(stretch: int) -> Steps:
        orders = [
            rng.permutation(
                slope.seeds, f"stepping.{slope.name}.order", stretch * many + i, examples
            )
            for i in range(many)
        ]
        picked = [
            np.take_along_axis(g, order[:, : batches_per_epoch * slope.batch], 1)
            for order in orders
        ]
        means = np.concatenate(picked, 1).reshape(len(g), -1, slope.batch).mean(-1)
        return torch.from_numpy(slope.gradient(slope.spread * means[:, : slope.times]))

    return draw


def added_noise(slope: Slope, roots: Float[np.ndarray, "run n n"]) -> Source:
    """The true gradient plus normal noise, standard normal numbers times each run's root of a
    covariance."""

    def draw(stretch: int) -> Steps:
        z = rng.normal(
            slope.seeds, f"stepping.{slope.name}.added", stretch, (slope.times, slope.n)
        ).astype(np.float64)
        return torch.from_numpy(slope.gradient(np.zeros(z.shape[:2])) + z @ roots)

    return draw


# --- evolution ------------------------------------------------------------------------------------


def mutations(
    slope: Slope, size: float, sharpness: float, held: Int[np.ndarray, " run"], hard: bool = False
) -> Source:
    """Steps that are sums of `held` mutations, each accepted by what one minibatch says of it.

    Linear: with probability ½ + ½β ĝ·δ. Hard: where ĝ·δ > 0. Without spread the true gradient
    decides."""

    def draw(stretch: int) -> Steps:
        g = slope.spread * rng.normal(
            slope.seeds, f"stepping.{slope.name}.environment", stretch, (slope.times, slope.batch)
        ).mean(-1)
        gradient = slope.gradient(g).astype(np.float32)
        out = np.zeros(gradient.shape)
        # Runs of one `held` together, since the number of mutations is an axis.
        for k in np.unique(held).tolist():
            rows = np.flatnonzero(held == k)
            delta = size * rng.normal(
                slope.seeds[rows],
                f"stepping.{slope.name}.mutations",
                stretch,
                (slope.times, k, slope.n),
            )
            projections = np.einsum("rtn,rtkn->rtk", gradient[rows], delta)
            if hard:
                accepted = projections > 0
            else:
                u = rng.uniform(
                    slope.seeds[rows], f"stepping.{slope.name}.accepted", stretch, (slope.times, k)
                )
                accepted = u < 0.5 + 0.5 * sharpness * projections
            out[rows] = np.einsum("rtk,rtkn->rtn", accepted.astype(np.float32), delta)
        return torch.from_numpy(out)

    return draw


def strategies(slope: Slope, evaluations: Int[np.ndarray, " run"]) -> Source:
    """Gradients as evolution strategies estimate them: (1/P) Σ_p (ĝ·ε_p) ε_p, all P evaluations on
    one minibatch."""

    def draw(stretch: int) -> Steps:
        g = slope.spread * rng.normal(
            slope.seeds, f"stepping.{slope.name}.generation", stretch, (slope.times, slope.batch)
        ).mean(-1)
        gradient = slope.gradient(g).astype(np.float32)
        out = np.zeros(gradient.shape)
        for p in np.unique(evaluations).tolist():
            rows = np.flatnonzero(evaluations == p)
            eps = rng.normal(
                slope.seeds[rows],
                f"stepping.{slope.name}.evaluations",
                stretch,
                (slope.times, p, slope.n),
            )
            out[rows] = (
                np.einsum("rtp,rtpn->rtn", np.einsum("rtn,rtpn->rtp", gradient[rows], eps), eps) / p
            )
        return torch.from_numpy(out)

    return draw


# --- groups ---------------------------------------------------------------------------------------


def walk(runs: Runs, slope: Slope, stretches: int, *, lr: float, adam: bool = False) -> Group:
    """A Group that takes the steps −lr · batch, or Adam's, a stretch at a time, and sums what
    describes them, all in float64.

    State: x [run n], where it is; path [run moment 2], the pair after each stretch; first [run n],
    second [run n n] and third [run] (of coordinate 0), summed powers of steps; slope [run], summed
    medians of Δx₁/Δx₀; some [run kept 2], steps of the last stretch."""
    r, n = len(slope.seeds), slope.n

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(r, *shape, dtype=torch.float64)

    state: State = {
        "x": zeros(n),
        "path": zeros(stretches + 1, 2),
        "first": zeros(n),
        "second": zeros(n, n),
        "third": zeros(),
        "slope": zeros(),
        "some": zeros(KEPT, 2),
    }
    if adam:
        state |= {"adam.m": zeros(n), "adam.v": zeros(n)}

    def step_fn(state: State, batch: Steps, stretch: int) -> Float[torch.Tensor, " run"]:
        move = _adam(state, batch, stretch * slope.times) if adam else batch
        move = -lr * move
        state["x"] += move.sum(1)
        state["path"][:, stretch + 1] = state["x"][:, :2]
        state["first"] += move.sum(1)
        state["second"] += move.transpose(1, 2) @ move
        state["third"] += move[..., 0].pow(3).sum(1)
        # A median: where the denominator is near 0 the ratio is anything.
        state["slope"] += (move[..., 1] / move[..., 0]).median(1).values
        if stretch == stretches - 1:
            state["some"].copy_(_few(move[..., :2]))
        return move[..., :2].square().sum((1, 2)) / slope.times

    return Group(runs, state, step_fn)


def moments(tensors: Mapping[str, torch.Tensor], slope: Slope, steps: int) -> dict[str, np.ndarray]:
    """What a finished `walk` tells of its steps.

    mean [run n]; covariance [run n n]; skewness [run] of coordinate 0 in the direction of the
    examples'; slope [run], median Δx₁/Δx₀; path [run moment], the combination that no example
    moves, after each stretch."""
    t = {name: x.cpu().numpy() for name, x in tensors.items()}
    stretches = t["path"].shape[1] - 1
    mean = t["first"] / steps
    covariance = t["second"] / steps - mean[:, :, None] * mean[:, None, :]
    variance = covariance[:, 0, 0]
    # E (x − μ)³ = E x³ − 3 μ σ² − μ³
    third = t["third"] / steps - 3 * mean[:, 0] * variance - mean[:, 0] ** 3
    across = np.stack((slope.c, -slope.a), 1) / np.hypot(slope.a, slope.c)[:, None]
    return {
        "mean": mean,
        "covariance": covariance,
        "skewness": -np.sign(slope.a) * third / variance**1.5,
        "slope": t["slope"] / stretches,
        "path": np.einsum("rmk,rk->rm", t["path"], across),
    }


def _adam(
    state: State,
    gradient: Steps,
    before: int,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Steps:
    """Adam's directions for gradients that do not depend on where it is: both moments are
    recursions in time."""
    n = gradient.shape[-1]
    m, v = (
        torch.stack([_recursion((1 - b) * x[..., i], b, state[name][:, i]) for i in range(n)], -1)
        for b, x, name in zip(
            betas, (gradient, gradient.square()), ("adam.m", "adam.v"), strict=True
        )
    )
    state["adam.m"].copy_(m[:, -1])
    state["adam.v"].copy_(v[:, -1])
    t = torch.arange(
        before + 1, before + gradient.shape[1] + 1, dtype=torch.float64, device=gradient.device
    )[:, None]
    return (m / (1 - betas[0] ** t)) / ((v / (1 - betas[1] ** t)).sqrt() + eps)


def _recursion(
    x: Float[torch.Tensor, "run time"], keep: float, start: Float[torch.Tensor, " run"]
) -> Float[torch.Tensor, "run time"]:
    """y_t = keep · y_{t−1} + x_t from y = start."""
    y, _ = scipy.signal.lfilter(
        [1.0], [1.0, -keep], x.cpu().numpy(), axis=1, zi=keep * start.cpu().numpy()[:, None]
    )
    return torch.from_numpy(y).to(x)


def _few(moves: Float[torch.Tensor, "run time pair"]) -> Float[torch.Tensor, "run kept pair"]:
    """Evenly spread steps of a stretch; the rest stays 0 where it has fewer."""
    out = moves.new_zeros(len(moves), KEPT, 2)
    indices = torch.linspace(0, moves.shape[1] - 1, min(KEPT, moves.shape[1])).long()
    out[:, : len(indices)] = moves[:, indices]
    return out
