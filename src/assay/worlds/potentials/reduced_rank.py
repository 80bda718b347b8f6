"""Deep linear networks with one hidden layer: their learning coefficient, and what a count of
directions says in its place."""

from __future__ import annotations

from assay.core.errors import SpecError


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
