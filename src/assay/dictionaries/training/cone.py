"""Rows that stay near where they started: brought back, after a step, to the nearest place within a
cone about their start."""

from __future__ import annotations

from jaxtyping import Float

from assay.core.heavy import torch


def keep_near(
    W: Float[torch.Tensor, "run f d"], start: Float[torch.Tensor, "run f d"], least: float
) -> None:
    """Bring each row whose cosine with its start is below `least` to the nearest row of the same
    length that is not, in place.

    Rows of `start` have length 1. A row exactly opposite its start, to which no such row is the
    nearest, becomes its start.

    Formula: w ← ‖w‖ (τ s + √(1 − τ²) u), u the unit part of w at right angles to s, where w·s < τ
    ‖w‖"""
    length = torch.linalg.vector_norm(W, dim=-1)
    outside = torch.linalg.vecdot(W, start) < least * length
    if not outside.any():
        return
    side, s = W[outside], start[outside]
    for _ in range(
        2
    ):  # twice, since of a row nearly opposite to its start rounding leaves a part along it
        side = side - torch.linalg.vecdot(side, s)[:, None] * s
        side = side / torch.linalg.vector_norm(side, dim=-1, keepdim=True).clamp_min(1e-30)
    rows = least * s + (1 - least**2) ** 0.5 * side
    # `rows` has length 1 already but for rounding, and for a row opposite its start, which has no
    # side.
    W[outside] = rows * (length[outside] / torch.linalg.vector_norm(rows, dim=-1))[:, None]
