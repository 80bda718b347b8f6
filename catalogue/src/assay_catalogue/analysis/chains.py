"""What recorded losses of Langevin chains say: the learning coefficient, its standard error, and
whether the chains are sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import SpecError


def block_ends(steps: int, blocks: int) -> list[int]:
    """The steps at which `fit` has to probe so that its history is the mean loss of equal blocks,
    which use every step.

    Raises: SpecError unless the blocks are at least 20, even in number (fit probes half way), and
    share the steps equally."""
    if blocks < 20 or blocks % 2 or steps < blocks or steps % blocks:
        raise SpecError(
            f"chains are recorded in an even number of equal blocks, at least 20; {steps} "
            f"steps do not make {blocks} of them"
        )
    return [steps // blocks * (i + 1) for i in range(blocks)]


def estimate(
    losses: Float[np.ndarray, "*any draw"],
    at_centre: Float[np.ndarray, "*any"] | float,
    n_beta: Float[np.ndarray, "*any"] | float,
) -> Float[np.ndarray, "*any"]:
    """The learning coefficient that each chain gives, from its losses after burn-in. Formula:
    n_beta · (mean loss − loss at the centre)

    Source: Lau, Furman, Wang, Murfet, Wei 2023, The Local Learning Coefficient.
    """
    return np.asarray(n_beta) * (np.mean(losses, -1) - np.asarray(at_centre))


def standard_error(values: Float[np.ndarray, "*any chain"]) -> Float[np.ndarray, "*any"]:
    """Standard error of the mean over independent chains; NaN for one chain. Formula: s/√chains

    The draws of one chain depend on each other, so their number does not enter.
    """
    v = np.asarray(values, float)
    if v.shape[-1] < 2:
        return np.full(v.shape[:-1], np.nan)
    return v.std(-1, ddof=1) / np.sqrt(v.shape[-1])


def drift(losses: Float[np.ndarray, "*any chain draw"]) -> Float[np.ndarray, "*any"]:
    """By how many standard errors the losses of the last third of the draws lie above those of the
    first, over chains.

    Range: about −2 to 2 where chains are stationary; 0 where nothing moves at all, NaN where a loss
    is not finite."""
    third = losses.shape[-1] // 3
    if third == 0:
        raise SpecError(
            f"a drift compares thirds of the draws: give at least 3, got {losses.shape[-1]}"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        moved = losses[..., -third:].mean(-1) - losses[..., :third].mean(-1)
        change, error = moved.mean(-1), standard_error(moved)
        return np.where(
            (change == 0) & (error == 0), 0.0, change / np.where(error == 0, 1e-300, error)
        )


def overshoot(
    losses: Float[np.ndarray, "*any draw"],
    refused: Float[np.ndarray, "*any draw"],
    acceptance: Float[np.ndarray, "*any draw"],
    at_centre: Float[np.ndarray, "*any"] | float,
) -> Float[np.ndarray, "*any"]:
    """The share of the excess loss that is there only because steps are taken which the Metropolis
    rule would refuse.

    Formula: 1 − E[a (L − L₀)] / (E[a] E[L − L₀]), a the acceptance of the step that led to a point,
    L its loss, L₀ that at the centre. `refused` is the series E[(1 − a) L] of `langevin`. Range: up
    to 1; near 0 where the step is small enough wherever the loss comes from, however rarely that
    place is visited; NaN where there is no excess. Better: 0. A step may be small on average and
    too large in the few steep places that carry the loss, as on w₁² w₂², where a mean acceptance of
    .98 goes with an estimate 12 % too high; this share is then .09."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        mean_acceptance, centre = acceptance.mean(-1), np.asarray(at_centre)
        excess = losses.mean(-1) - centre
        accepted_excess = losses.mean(-1) - refused.mean(-1) - mean_acceptance * centre
        return np.where(excess > 0, 1 - accepted_excess / (mean_acceptance * excess), np.nan)


CHECKS = ("not finite", "negative", "drift", "step too large", "overshoot")


def flags(
    values: Float[np.ndarray, "*any chain"],
    drifts: Float[np.ndarray, "*any"],
    acceptance: Float[np.ndarray, "*any"] | None = None,
    overshoots: Float[np.ndarray, "*any"] | None = None,
    *,
    drift_at: float = 2.0,
    accepted_at: float = 0.5,
    overshoot_at: float = 0.05,
) -> Bool[np.ndarray, "*any check"]:
    """Which of CHECKS a set of chains fails: an estimate that is not finite; one below 0; draws
    that drift; steps too large, on average or where the loss comes from.

    `values` are the estimates of the chains, `drifts` as `drift` gives them, `acceptance` the mean
    Metropolis acceptance, `overshoots` as `overshoot` gives them. Below 0, by more than two
    standard errors, means that the centre was no minimum. A small acceptance means that the chain
    samples another density than asked for; one near 1 is no fault, only a step that could be
    larger, unless it is small just where the loss comes from: that is what `overshoots` is for."""
    v, moved = np.asarray(values, float), np.asarray(drifts, float)
    broken = ~np.isfinite(v).all(-1) | ~np.isfinite(moved)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.nan_to_num(standard_error(v))
        # One chain has no error: then any number below 0 counts.
        negative = v.mean(-1) < -2 * error
        moving = np.abs(moved) > drift_at
        large = (
            np.zeros_like(broken)
            if acceptance is None
            else ~(np.asarray(acceptance) >= accepted_at)
        )
        over = (
            np.zeros_like(broken) if overshoots is None else np.asarray(overshoots) > overshoot_at
        )
    return np.stack([broken, negative & ~broken, moving & ~broken, large, over], -1)


def plateau(
    estimates: Float[np.ndarray, "row column"], within: float = 0.1
) -> Bool[np.ndarray, "row column"]:
    """The cells of a grid that belong to three neighbours in their row, and to three in their
    column, which agree within a share.

    Where an estimate depends on localisation and step it is to be believed only where it depends on
    neither. The share is of the middle one.
    """
    grid = np.asarray(estimates, float)
    flat = np.ones(grid.shape, bool)
    for axis in (0, 1):
        g, out = np.moveaxis(grid, axis, 0), np.zeros_like(np.moveaxis(flat, axis, 0))
        for i in range(len(g) - 2):
            # All three neighbours belong to it, and a cell to any triple that it is in.
            out[i : i + 3] |= np.ptp(g[i : i + 3], axis=0) <= within * np.abs(g[i + 1])
        flat &= np.moveaxis(out, 0, axis)
    return flat


def mean_over(
    blocks: Sequence[int] | Int[np.ndarray, " step"],
    history: Float[np.ndarray, "run step"],
    burn_in: int,
) -> Float[np.ndarray, "run draw"]:
    """The mean losses [run, draw] of the blocks that begin after `burn_in` steps; `blocks` are the
    steps at which they end.

    Raises: SpecError when none is left.
    """
    starts = np.concatenate([[0], np.asarray(blocks)[:-1]])
    keep = starts >= burn_in
    if not keep.any():
        raise SpecError(
            f"a burn-in of {burn_in} steps leaves nothing of {int(np.asarray(blocks)[-1])} steps"
        )
    return np.asarray(history)[:, keep]
