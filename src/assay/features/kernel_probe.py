"""Logistic regressions by the hundred: many yes-or-no questions and every strength of penalty,
fitted at once from inner products.

With fewer examples than dimensions a regression with an L2 penalty is a combination of its training
rows, so that all it needs of the inputs is the matrix of their inner products. Activations,
features, principal components and counts of tokens then cost the same, and n is at most a few
dozen."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Float

from assay.core.heavy import torch

STRENGTHS = tuple(10.0**e for e in range(-4, 3))
"""Values of C, the inverse of the L2 penalty, among which every probe's is chosen, the strongest
penalty first."""
CONSTANT = 100.0
"""The constant column for the intercept, so large that its penalty does not count."""
STEPS = 25


def logistic(
    k: Float[torch.Tensor, "p n n"],
    yes: Bool[torch.Tensor, "p n"],
    strengths: Sequence[float] = STRENGTHS,
    steps: int = STEPS,
) -> Float[torch.Tensor, "p s n"]:
    """The weights a of the training rows in the score Σ a_i (k(x, x_i) + constant²), for each
    question and strength.

    Newton's method on the dual; a step that does not raise the objective is shortened. Each
    strength starts where the one before ended, so that the strongest penalty, which is solved at
    once, should come first.

    Formula: the maximum over a of −½ aᵀKa − C Σ log(1 + exp(−t_i (Ka)_i)), t = ±1
    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, algorithm 3.1
    """
    kernel = k.double() + CONSTANT**2
    t = 2 * yes.double() - 1
    a = torch.zeros_like(t)
    weights = []
    for c in strengths:
        a = _solved(kernel, t, c, a, steps)
        weights.append(a)
    return torch.stack(weights, 1)


def _solved(
    kernel: Float[torch.Tensor, "p n n"],
    t: Float[torch.Tensor, "p n"],
    c: float,
    a: Float[torch.Tensor, "p n"],
    steps: int,
) -> Float[torch.Tensor, "p n"]:
    """The weights at one strength, from a start."""
    eye, shorter = torch.eye(t.shape[1], dtype=torch.float64, device=t.device), (0.5, 0.2, 0.05)
    f = (kernel @ a[..., None])[..., 0]

    def objective(a: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        return -0.5 * (a * f).sum(-1) - c * torch.nn.functional.softplus(-t * f).sum(-1)

    best = objective(a, f)
    for _ in range(steps):
        share = torch.sigmoid(-t * f)  # of the weight that is left to be explained
        w = (c * share * (1 - share)).clamp_min(1e-12)
        root = w.sqrt()
        b = w * f + c * t * share
        inner = eye + root[:, :, None] * kernel * root[:, None, :]
        right = (root * (kernel @ b[..., None])[..., 0])[..., None]
        solved = torch.cholesky_solve(right, torch.linalg.cholesky_ex(inner)[0])[..., 0]
        target = b - root * solved
        step_a, step_f = target - a, (kernel @ target[..., None])[..., 0] - f
        gain, size = objective(target, f + step_f), torch.ones_like(best)
        if bool((gain <= best).any()):
            tried = torch.stack(
                [gain, *(objective(a + by * step_a, f + by * step_f) for by in shorter)]
            )
            gain, which = tried.max(0)
            size = torch.where(
                gain > best,
                torch.tensor([1.0, *shorter], dtype=torch.float64, device=t.device)[which],
                0.0,
            )
        a, f = a + size[:, None] * step_a, f + size[:, None] * step_f
        moved = (gain - best).clamp_min(0)
        best = torch.maximum(best, gain)
        if bool((moved <= 1e-9 * (1 + best.abs())).all()):
            break
    return a
