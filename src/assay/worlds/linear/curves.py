"""A scalar learned as a product, and a free matrix, by gradient descent: loss curves that are known
in closed form."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


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
