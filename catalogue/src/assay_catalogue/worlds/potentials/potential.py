"""Losses whose learning coefficient is known: quadratics, monomials, deep linear networks; with a
run axis, and by name. What is known of each beforehand: where chains should arrive, and the counts
that one might take instead. And Langevin chains on potentials of any shapes, batched over those of
one shape: their losses, block by block."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.bench import Bench
from assay.core.errors import SpecError
from assay.core.fit import Group, State, fit
from assay.core.heavy import torch
from assay_catalogue.analysis.chains import (
    block_ends,
    drift,
    estimate,
    flags,
    mean_over,
    overshoot,
    standard_error,
)
from assay_catalogue.analysis.langevin import langevin
from assay_catalogue.worlds.potentials import learning_coefficient

if TYPE_CHECKING:
    Loss = Callable[[State, object], Float[torch.Tensor, " run"]]


@dataclass(frozen=True)
class Quadratic:
    """½ Σ h w², with its minimum at 0; `curvatures` are the h, one a weight."""

    curvatures: tuple[float, ...]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters."""
        return {"w": (len(self.curvatures),)}

    @property
    def stiffest(self) -> float:
        """Largest curvature at the minimum."""
        return max(self.curvatures)


@dataclass(frozen=True)
class Monomial:
    """The product of w^(2k) over the weights, with its minimum at 0; `powers` are the k."""

    powers: tuple[int, ...]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters."""
        return {"w": (len(self.powers),)}

    @property
    def stiffest(self) -> float:
        """Largest curvature at the minimum: 2 for w², 0 for all others."""
        return 2.0 if sum(self.powers) == 1 else 0.0


@dataclass(frozen=True)
class Network:
    """½ ‖B A − T‖² of a linear network, A [hidden, inputs], B [outputs, hidden]; T has `rank`
    singular values of 1.

    It is the mean loss over inputs of unit covariance. The minimum is the balanced one, A and B
    both with singular values 1."""

    inputs: int
    hidden: int
    outputs: int
    rank: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters."""
        return {"A": (self.hidden, self.inputs), "B": (self.outputs, self.hidden)}

    @property
    def stiffest(self) -> float:
        """Largest curvature at the minimum: both factors can change the same singular value."""
        return 2.0 if self.rank else 0.0


Potential = Quadratic | Monomial | Network

_NETWORK = re.compile(r"network (\d+)-(\d+)-(\d+) rank (\d+)")
_QUADRATIC = re.compile(r"quadratic((?: (?:\d+(?:\.\d*)?|\.\d+)(?:x\d+)?)+)")
_MONOMIAL = re.compile(r"monomial((?: \d+)+)")


def potential(name: str) -> Potential:
    """The potential of this name: "quadratic 1x6 0.5x2 0x2" (six weights of curvature 1, two of ½,
    two free), "monomial 1 1" (w₁² w₂²), "network 5-3-4 rank 1" (inputs, hidden, outputs).

    Raises: SpecError for another name, a size of 0, or a rank above the smallest size.
    """
    if match := _NETWORK.fullmatch(name):
        network = Network(*map(int, match.groups()))
        sizes = (network.inputs, network.hidden, network.outputs)
        if min(sizes) < 1:
            raise SpecError(f"potential {name!r}: inputs, hidden and outputs must be at least 1")
        if network.rank > min(sizes):
            raise SpecError(
                f"potential {name!r}: rank {network.rank} is above the smallest size, {min(sizes)}"
            )
        return network
    if match := _QUADRATIC.fullmatch(name):
        parts = [part.partition("x") for part in match[1].split()]
        curvatures = tuple(float(h) for h, _, times in parts for _ in range(int(times or 1)))
        if not curvatures or max(curvatures) == 0:
            raise SpecError(f"potential {name!r}: at least one curvature must be above 0")
        return Quadratic(curvatures)
    if match := _MONOMIAL.fullmatch(name):
        powers = tuple(map(int, match[1].split()))
        if len(powers) > 2 or max(powers) == 0:
            raise SpecError(
                f"potential {name!r}: a monomial has one or two weights, and at least one "
                "power above 0"
            )
        return Monomial(powers)
    raise SpecError(
        f'no potential {name!r}; it is like "quadratic 1x6 0.5x2", "monomial 1 1" or "network '
        '5-3-4 rank 1"'
    )


def minimum(potentials: Sequence[Potential]) -> State:
    """The minimum of each, float64 [run, …] by parameter; the potentials have one shape."""
    start = {
        n: torch.zeros(len(potentials), *shape, dtype=torch.float64)
        for n, shape in potentials[0].shapes.items()
    }
    for i, p in enumerate(potentials):
        if isinstance(p, Network):
            for k in range(p.rank):
                start["A"][i, k, k] = start["B"][i, k, k] = 1.0
    return start


def mean_loss(potentials: Sequence[Potential]) -> Loss:
    """The loss (params, batch) → [run] of these potentials, of one kind and one shape; it needs no
    batch."""
    kind = type(potentials[0])
    if any(type(p) is not kind or p.shapes != potentials[0].shapes for p in potentials):
        raise SpecError("potentials of one group are of one kind and one shape")
    if kind is Network:
        truth = minimum(potentials)
        target = truth["B"] @ truth["A"]
        return lambda p, batch: (
            (torch.bmm(p["B"], p["A"]) - target.to(p["A"])).square().sum((1, 2)) / 2
        )
    if kind is Quadratic:
        h = torch.tensor([p.curvatures for p in potentials], dtype=torch.float64)  # type: ignore[union-attr]
        return lambda p, batch: (h.to(p["w"]) * p["w"].square()).sum(1) / 2
    k = torch.tensor([p.powers for p in potentials], dtype=torch.float64)  # type: ignore[union-attr]
    return lambda p, batch: p["w"].square().pow(k.to(p["w"])).prod(1)


def weights(p: Potential) -> int:
    """How many weights it has."""
    return sum(math.prod(shape) for shape in p.shapes.values())


def coefficient(inputs: int, hidden: int, outputs: int, rank: int) -> tuple[float, int]:
    """The learning coefficient of B A (A hidden × inputs, B outputs × hidden) at a truth of this
    rank, and its multiplicity.

    Formula: with M, H, N, r: (HM − Hr + Nr)/2 where M + H < N + r; (HN − Hr + Mr)/2 where N + H < M
    + r; MN/2 where M + N < H + r; else ⌈q/2⌉/4 for q = −(H + r)² − M² − N² + 2(H + r)(M + N) + 2MN,
    and only there multiplicity 2 where M + H + N + r is odd.
    Range: at most half the number of weights, and at most MN/2. Raises: SpecError when the rank is
    above a size.
    Source: Aoyagi & Watanabe 2005, Stochastic Complexities of Reduced Rank Regression in Bayesian
    Estimation."""
    M, H, N, r = inputs, hidden, outputs, rank
    _check(M, H, N, r)
    if N + r > M + H:
        return (H * M - H * r + N * r) / 2, 1
    if M + r > N + H:
        return (H * N - H * r + M * r) / 2, 1
    if H + r > M + N:
        return M * N / 2, 1
    q = -((H + r) ** 2) - M * M - N * N + 2 * (H + r) * (M + N) + 2 * M * N
    odd = (M + H + N + r) % 2
    # ⌈q/2⌉/4: q is odd just where M + H + N + r is.
    return (q + odd) / 8, 1 + odd


def hessian_rank(inputs: int, hidden: int, outputs: int, rank: int) -> int:
    """Directions of curvature above 0 at a minimum whose factors both have the truth's rank.
    Formula: r · (M + N − r)

    Half of it is the learning coefficient of a regular model with as many free directions, and too
    small where others are flat to second order only. Raises: SpecError when the rank is above a
    size."""
    _check(inputs, hidden, outputs, rank)
    return rank * (inputs + outputs - rank)


def _check(inputs: int, hidden: int, outputs: int, rank: int) -> None:
    if min(inputs, hidden, outputs) < 1:
        raise SpecError(
            f"a linear network has at least one input, hidden unit and output, got {inputs}, "
            f"{hidden}, {outputs}"
        )
    if not 0 <= rank <= min(inputs, hidden, outputs):
        raise SpecError(
            f"rank {rank} is not between 0 and the smallest size, {min(inputs, hidden, outputs)}"
        )


class Known(NamedTuple):
    """Numbers about one potential and one setting of the chains, each to be compared with an
    estimate."""

    coefficient: float
    """λ, the learning coefficient."""
    stationary: float
    """What stationary chains give: exact for a quadratic, without the step's error where there is
    an integral, else λ."""
    half_weights: float
    """Half the number of weights, the coefficient of a regular model."""
    half_rank: float
    """Half the rank of the Hessian at the minimum."""


@lru_cache
def known(name: str, n_beta: float, localisation: float = 1.0, lr: float = 0.0) -> Known:
    """What is known about the potential of this name at a setting. Raises: SpecError for no
    potential, or an unstable step on a quadratic."""
    p = potential(name)
    half = weights(p) / 2
    if isinstance(p, Quadratic):
        curved = sum(h > 0 for h in p.curvatures) / 2
        expected = float(
            learning_coefficient.stationary_quadratic(p.curvatures, n_beta, localisation, lr)
        )
        return Known(curved, expected, half, curved)
    if isinstance(p, Monomial):
        expected = learning_coefficient.posterior_monomial(p.powers, n_beta, localisation)
        return Known(
            learning_coefficient.monomial(p.powers)[0], expected, half, float(p.stiffest > 0) / 2
        )
    sizes = (p.inputs, p.hidden, p.outputs)
    exact = coefficient(*sizes, p.rank)[0]
    expected = float(exact)
    if p.rank == 0 and min(p.hidden, p.outputs) <= 2:
        expected = learning_coefficient.posterior_rank_zero(*sizes, n_beta, localisation)
    return Known(exact, expected, half, hessian_rank(*sizes, p.rank) / 2)


class Sampled(NamedTuple):
    """What chains of several runs leave behind; all in the order of the runs."""

    losses: Float[torch.Tensor, "run chain block"]
    """Mean loss of each block of steps."""
    acceptance: Float[torch.Tensor, "run chain block"]
    """Mean probability with which the Metropolis rule would have taken the steps."""
    refused: Float[torch.Tensor, "run chain block"]
    """Mean of the loss times what is missing of that probability to 1."""
    at_centre: Float[torch.Tensor, "run chain"]
    """Loss at the point where a chain starts, which it takes for its minimum."""
    diverged: Bool[np.ndarray, " run"]
    """Runs with a chain whose loss was once not finite."""


class Summed(NamedTuple):
    """What the chains of each run say together; NaN where one of them has left for good."""

    estimate: Float[np.ndarray, " run"]
    """Mean over chains of their estimates of the learning coefficient."""
    error: Float[np.ndarray, " run"]
    """Its standard error."""
    late: Float[np.ndarray, " run"]
    """The estimate from the later half of the draws that count."""
    trace: Float[np.ndarray, "run block"]
    """n_beta times the excess loss, block by block, the burn-in included."""
    drift: Float[np.ndarray, " run"]
    """By how many standard errors the last third of the draws lies above the first."""
    acceptance: Float[np.ndarray, " run"]
    """Mean Metropolis acceptance."""
    overshoot: Float[np.ndarray, " run"]
    """The share of the estimate that comes from steps which the Metropolis rule would refuse."""
    failed: Bool[np.ndarray, "run check"]
    """Which of the checks of `core.chains` the run fails."""


def summed(
    losses: Float[np.ndarray, "run chain block"],
    acceptance: Float[np.ndarray, "run chain block"],
    refused: Float[np.ndarray, "run chain block"],
    at_centre: Float[np.ndarray, "run chain"],
    n_beta: Float[np.ndarray, " run"],
    ends: Int[np.ndarray, " block"],
    burn_in: int,
) -> Summed:
    """Estimates, their errors and the chains' health, from what `sample` recorded in blocks that
    end at these steps."""
    with np.errstate(invalid="ignore", over="ignore"):
        draw_losses = mean_over(ends, losses.reshape(-1, losses.shape[-1]), burn_in).reshape(
            *losses.shape[:2], -1
        )
        draws = draw_losses.shape[-1]
        values = estimate(draw_losses, at_centre, n_beta[:, None])
        late = estimate(draw_losses[..., draws // 2 :], at_centre, n_beta[:, None]).mean(1)
        trace = n_beta[:, None] * (losses - at_centre[..., None]).mean(1)
        moved, accepted = drift(draw_losses), acceptance[..., -draws:].mean((1, 2))
        # all chains of a run as one, since the places that count are rare
        late_losses, late_refused, late_acceptance = (
            x[..., -draws:].reshape(len(x), -1) for x in (losses, refused, acceptance)
        )
        over = overshoot(late_losses, late_refused, late_acceptance, at_centre.mean(1))
        failed = flags(values, moved, accepted, over)
        mean_values, error, late, trace, moved = (
            np.where(np.abs(x) < 1e30, x, np.nan)
            for x in (values.mean(1), standard_error(values), late, trace, moved)
        )
    return Summed(mean_values, error, late, trace, moved, accepted, over, failed)


def sample(
    potentials: Sequence[Potential],
    seeds: Int[np.ndarray, "run chain"],
    *,
    lr: Float[np.ndarray, " run"],
    n_beta: Float[np.ndarray, " run"],
    localisation: Float[np.ndarray, " run"],
    off: Float[np.ndarray, " run"],
    steps: int,
    blocks: int,
    bench: Bench,
) -> Sampled:
    """Chains of each run from its potential's minimum, of which every weight is moved by `off`;
    recorded in equal blocks."""
    shapes = [(type(p), *p.shapes.items()) for p in potentials]
    parts = [
        np.array([i for i, shape in enumerate(shapes) if shape == group_shape])
        for group_shape in dict.fromkeys(shapes)
    ]
    count = seeds.shape[1]
    groups: list[Group] = []
    centres = []
    for part in parts:
        many = [potentials[i] for i in part for _ in range(count)]
        displacement = torch.from_numpy(off[part].repeat(count))
        start = {
            name: w + displacement.view(-1, *[1] * (w.ndim - 1))
            for name, w in minimum(many).items()
        }
        loss = mean_loss(many)
        centres.append(loss(start, None))
        knobs = {"lr": lr, "n_beta": n_beta, "localisation": localisation}
        per_chain = {name: values[part].repeat(count) for name, values in knobs.items()}
        groups.append(
            langevin(
                loss, start, seeds[part].ravel(), **per_chain, stream="potentials", acceptance=True
            )
        )
    trained = fit(
        groups, lambda step: None, steps=steps, probe_at=block_ends(steps, blocks), bench=bench
    )
    # From groups of one shape back to the order in which runs were given.
    order = torch.from_numpy(np.argsort(np.concatenate(parts), kind="stable"))

    def gathered(chunks: Sequence[np.ndarray | torch.Tensor]) -> torch.Tensor:
        return torch.cat([torch.as_tensor(x).cpu().view(-1, count, *x.shape[1:]) for x in chunks])[
            order
        ]

    broken = gathered([d.diverged for d in trained]).any(1).numpy()
    losses, acceptance, refused = (
        gathered([d.history[name] for d in trained]) for name in ("loss", "acceptance", "refused")
    )
    return Sampled(losses, acceptance, refused, gathered(centres), broken)
