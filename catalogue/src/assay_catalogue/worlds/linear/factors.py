"""Learning a matrix as a product of two factors, Z = ã b̃ᵀ, with a run axis; and as a free matrix,
for comparison; with the loss curves that are known in closed form.

A target matrix makes a loss: a function of Z that gives each run's loss and dL/dZ. The gradients of
the factors follow from it by the chain rule, so every loss here trains either model, by plain
gradient descent or by Adam. All in float64: at a saddle the loss changes by less than float32 can
tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from assay.core.descent import Adam, adam_state
from assay.core.errors import SpecError
from assay.core.fit import Group, State
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.train import rng

Matrix: TypeAlias = 'Float[torch.Tensor, "run n m"]'
Loss: TypeAlias = 'Callable[[Matrix], tuple[Float[torch.Tensor, " run"], Matrix]]'
"""Z → each run's loss and dL/dZ."""
Positive = Literal["", "a", "ab"]
"""The factors whose absolute values are taken: with "a" no two rows of the product are of opposite
sign, with "ab" no two entries."""


def pair(runs: Runs, stream: str, n: int, rank: int) -> dict[str, Float[torch.Tensor, "run n k"]]:
    """Two factors a, b [run n rank] of standard normal numbers; the first columns are those of the
    pair of a lower rank.

    Raises: SpecError when the rank is above n or below 1, since no n × n matrix has it.
    """
    if not 1 <= rank <= n:
        raise SpecError(f"an n × n matrix has a rank from 1 to n = {n}, got rank {rank}")
    # Drawn rank by rank and turned afterwards: a higher rank only adds columns.
    normals = {side: rng.normal(runs.seeds, f"{stream}.{side}", 0, (rank, n)) for side in "ab"}
    return {
        side: torch.from_numpy(x.astype(np.float64)).transpose(1, 2).contiguous()
        for side, x in normals.items()
    }


def target(
    runs: Runs, n: int, rank: int, positive: Positive = ""
) -> Float[torch.Tensor, "run n n"]:
    """A = a bᵀ/√rank for every run, a and b standard normal: rank `rank`, entries of mean square 1
    (not so if both are positive)."""
    factors = pair(runs, "factors.target", n, rank)
    return product(
        {side: x.abs() if side in positive else x for side, x in factors.items()}
    ) / math.sqrt(rank)


def start(
    runs: Runs, n: int, rank: int, scale: Float[np.ndarray, " run"], positive: Positive = ""
) -> State:
    """Starting factors a, b [run n rank], normal with standard deviation `scale`, or the absolute
    values of such numbers.

    Raises: SpecError when a scale is not positive: at 0 both gradients vanish and nothing is ever
    learned."""
    if not (np.asarray(scale) > 0).all():
        raise SpecError(
            f"the start's scale must be positive, got {float(np.min(scale)):g}: at 0 no "
            "factor has a gradient"
        )
    size = torch.from_numpy(np.asarray(scale, dtype=np.float64))[:, None, None]
    factors = pair(runs, "factors.start", n, rank)
    return {side: size * (x.abs() if side in positive else x) for side, x in factors.items()}


def freed(params: Mapping[str, torch.Tensor]) -> State:
    """The free matrix Z [run n m] that starts at the factors' product: the same function, without
    factors."""
    return {"Z": product(params)}


def product(params: Mapping[str, torch.Tensor]) -> Matrix:
    """The matrix that parameters stand for: a bᵀ, a m₀ m₁ … bᵀ where there are factors between
    them, or Z itself where it is free."""
    if "Z" in params:
        return params["Z"]
    return _left_products(params)[-1] @ params["b"].transpose(1, 2)


def gradients(params: Mapping[str, torch.Tensor], slope: Matrix) -> dict[str, torch.Tensor]:
    """Each parameter's gradient, from the slope dL/dZ: dL/da = (dL/dZ) b, dL/db = (dL/dZ)ᵀ a.

    Of a factor between them, dL/dm = (all to its left)ᵀ (dL/dZ) (all to its right)ᵀ."""
    if "Z" in params:
        return {"Z": slope}
    lefts, right, slopes = _left_products(params), params["b"], {}
    for i in reversed(range(len(lefts) - 1)):
        slopes[f"m{i}"] = lefts[i].transpose(1, 2) @ (slope @ right)
        right = right @ params[f"m{i}"].transpose(1, 2)
    return {"a": slope @ right, "b": slope.transpose(1, 2) @ lefts[-1], **slopes}


def _left_products(params: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """a, a m₀, a m₀ m₁, …: the products of the factors from the left, without the last one."""
    products = [params["a"]]
    while (middle := params.get(f"m{len(products) - 1}")) is not None:
        products.append(products[-1] @ middle)
    return products


# --- losses: a target gives a function of Z -------------------------------------------------------


def square(A: Matrix) -> Loss:
    """Half the summed squared error of each run. Formula: ½ Σ (A − Z)². Range: from 0 at Z = A."""

    def loss(Z: Matrix) -> tuple[torch.Tensor, Matrix]:
        off = Z - A
        flat = off.flatten(1)
        return 0.5 * torch.linalg.vecdot(flat, flat), off

    return loss


def row_kl(C: Matrix) -> Loss:
    """Cross-entropy of each row's softmax, less what it is at Z = C, summed over rows: Σ KL(softmax
    C ‖ softmax Z), in nats.

    Range: from 0, reached wherever Z differs from C by a constant per row. As logits neither matrix
    needs normalising."""
    log_p = C.log_softmax(-1)
    p = log_p.exp()
    constant = (p * log_p).sum((1, 2))

    def loss(Z: Matrix) -> tuple[torch.Tensor, Matrix]:
        log_q = Z.log_softmax(-1)
        return constant - torch.linalg.vecdot(p.flatten(1), log_q.flatten(1)), log_q.exp() - p

    return loss


def raw_cross_entropy(C: Matrix) -> Loss:
    """−Σ C ln Z of matrices that are no distributions, in nats. It has no least value: a larger Z
    is always better."""

    def loss(Z: Matrix) -> tuple[torch.Tensor, Matrix]:
        return -torch.linalg.vecdot(C.flatten(1), Z.log().flatten(1)), -C / Z

    return loss


def normalised_cross_entropy(C: Matrix) -> Loss:
    """−Σ C ln(Z / row sum of Z), in nats: rows of Z made distributions. Least wherever each row is
    a multiple of C's."""
    mass = C.sum(-1, keepdim=True)

    def loss(Z: Matrix) -> tuple[torch.Tensor, Matrix]:
        total = Z.sum(-1, keepdim=True)
        return -torch.linalg.vecdot(
            C.flatten(1), (Z / total).log().flatten(1)
        ), mass / total - C / Z

    return loss


def generalised_kl(C: Matrix) -> Loss:
    """Σ C ln(C / Z) − C + Z, in nats: what cross-entropy has to become where rows need not sum to
    1. Range: from 0 at Z = C only."""
    constant = (torch.special.xlogy(C, C) - C).sum((1, 2))

    def loss(Z: Matrix) -> tuple[torch.Tensor, Matrix]:
        return constant - torch.linalg.vecdot(C.flatten(1), Z.log().flatten(1)) + Z.sum(
            (1, 2)
        ), 1 - C / Z

    return loss


# --- training -------------------------------------------------------------------------------------


def gradient_descent(
    runs: Runs, params: State, loss: Loss, *, lr: Float[np.ndarray, " run"]
) -> Group:
    """A Group that takes full gradient steps, each run at its own rate; the batch is ignored. A
    step's loss is that before it."""
    rates: list[torch.Tensor] = []

    def step_fn(state: State, batch: object, step: int) -> Float[torch.Tensor, " run"]:
        if not rates:  # made here, on the device the loop has moved the state to
            rates.append(
                torch.from_numpy(np.asarray(lr, dtype=np.float64)).to(
                    next(iter(state.values())).device
                )[:, None, None]
            )
        value, slope = loss(product(state))
        for name, gradient in gradients(state, slope).items():
            state[name] -= rates[0] * gradient
        return value

    return Group(runs, dict(params), step_fn)


def adam(runs: Runs, params: State, loss: Loss, *, lr: Float[np.ndarray, " run"]) -> Group:
    """Train by Adam (0.9, 0.999, 1e-8) at a constant rate per run."""
    names = tuple(params)
    steppers: list[Adam] = []

    def step_fn(state: State, batch: object, step: int) -> Float[torch.Tensor, " run"]:
        if not steppers:  # built here, after any move to a device or restore
            steppers.append(Adam(state, names, lr))
        factors = {name: state[name] for name in names}
        value, slope = loss(product(factors))
        steppers[0].step(gradients(factors, slope), step)
        return value

    return Group(runs, {**params, **adam_state(params)}, step_fn)


def largest_stable_step(A: Matrix, free: bool = False) -> Float[np.ndarray, " run"]:
    """The rate of gradient descent on `square` above which Z = A is no longer approached, for each
    run.

    Formula: 2 over the largest curvature at Z = A: 1/σ₁(A) for factors (at balanced ones the
    curvature is 2σ₁, elsewhere more), 2 for a free matrix (curvature 1).
    """
    if free:
        return np.full(len(A), 2.0)
    return (1 / torch.linalg.matrix_norm(A, ord=2)).cpu().numpy()


def check_step(
    lr: Float[np.ndarray, " run"], A: Matrix, free: bool = False, per: float = 1.0
) -> None:
    """Refuse rates that, over `per`, are not stable for gradient descent on `square`.

    Raises: SpecError that says the largest stable rate, as rates were given.
    """
    limit = per * largest_stable_step(A, free)
    worst = int(np.argmax(np.asarray(lr) / limit))
    if lr[worst] >= limit[worst]:
        why = ("2 for a free matrix" if free else "1/σ₁ of the target") + (
            "" if per == 1 else f", times {per:g}"
        )
        raise SpecError(
            f"gradient descent with lr={float(lr[worst]):g} is unstable: the largest stable "
            f"rate is {limit[worst]:.3g}, {why}"
        )


# --- targets of given strengths -------------------------------------------------------------------


def modes(
    runs: Runs, n: int, strengths: Sequence[float]
) -> tuple[Float[torch.Tensor, "run n k"], Float[torch.Tensor, "run n k"]]:
    """Singular directions (left, right) of a target with these strengths, orthonormal columns that
    each seed draws.

    Raises: SpecError when there are more strengths than n, the size, or none.
    """
    if not 1 <= len(strengths) <= n:
        raise SpecError(
            f"an n × n matrix has a rank from 1 to n = {n}, got {len(strengths)} strengths"
        )
    factors = pair(runs, "factors.modes", n, len(strengths))
    left_modes, right = (torch.linalg.qr(factors[side])[0] for side in "ab")
    return left_modes, right


def assembled(
    left_modes: Float[torch.Tensor, "run n k"],
    right: Float[torch.Tensor, "run n k"],
    strengths: Sequence[float],
) -> Matrix:
    """The matrix with these singular directions and strengths: L S Rᵀ."""
    return (
        left_modes * torch.tensor(list(strengths), dtype=left_modes.dtype, device=left_modes.device)
    ) @ right.transpose(1, 2)


def held(
    Z: Float[torch.Tensor, "run *at n m"],
    left_modes: Float[torch.Tensor, "run n k"],
    right: Float[torch.Tensor, "run m k"],
) -> Float[torch.Tensor, "run *at k"]:
    """How much of each mode a matrix holds: u_k = l_kᵀ Z r_k."""
    return torch.einsum("rnk,r...nm,rmk->r...k", left_modes, Z, right)


def followed(
    group: Group, left_modes: Float[torch.Tensor, "run n k"], right: Float[torch.Tensor, "run m k"]
) -> Group:
    """Let a group's history also have what its matrix holds of every mode before each step, as
    mode0, mode1, …"""
    inner, directions = group.step_fn, [left_modes, right]

    def step_fn(
        state: State, batch: object, step: int
    ) -> tuple[Float[torch.Tensor, " run"], Mapping[str, Float[torch.Tensor, " run"]]]:
        Z = product(state)
        if directions[0].device != Z.device:
            directions[:] = [d.to(Z.device) for d in directions]
        mode_strengths = held(Z, *directions)
        losses = inner(state, batch, step)
        assert isinstance(losses, torch.Tensor)
        return losses, {f"mode{k}": mode_strengths[:, k] for k in range(mode_strengths.shape[1])}

    group.step_fn = step_fn
    return group


def rank_one(t: Float[np.ndarray, "*t"], sigma: float, u0: float) -> Float[np.ndarray, "*t"]:
    """u(t)² of a scalar learned as u·u from u(0) = u₀ by gradient flow on ½(σ − u²)²; t in steps ×
    rate.

    Formula: u²(t) = σ / (1 + (σ/u₀² − 1) e^{−2σt}).
    """
    return sigma / (1 + (sigma / u0**2 - 1) * np.exp(-2 * sigma * np.asarray(t)))


def rank_one_time(sigma: float, u0: float, share: float) -> float:
    """The time (steps × rate) at which `rank_one` has its loss ½(σ − u²)² down to this share of
    ½σ²; negative if it starts there.

    Formula: u² = σ(1 − √share), put into `rank_one` and solved for t. For a small start it is
    ln(σ/u₀²)/2σ and a constant."""
    root_share = np.sqrt(share)
    return float(np.log((sigma / u0**2 - 1) * (1 - root_share) / root_share) / (2 * sigma))


def free_matrix(t: Float[np.ndarray, "*t"], start: float, lr: float) -> Float[np.ndarray, "*t"]:
    """Loss ½Σ(A − Z)² of a free matrix after t steps of gradient descent. Formula: L₀ (1 − η)^{2t}.
    It has no plateau."""
    return start * (1 - lr) ** (2 * np.asarray(t))
