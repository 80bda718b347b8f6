"""Langevin chains on potentials of any shapes, batched over those of one shape: their losses, block
by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.bench import Bench
from assay.core.chains import (
    block_ends,
    drift,
    estimate,
    flags,
    mean_over,
    overshoot,
    standard_error,
)
from assay.core.fit import Group, fit
from assay.core.heavy import torch
from assay.core.langevin import langevin
from assay.worlds.potentials.potential import Potential, mean_loss, minimum


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
    diverged: Bool[np.ndarray, run]
    """Runs with a chain whose loss was once not finite."""


class Summed(NamedTuple):
    """What the chains of each run say together; NaN where one of them has left for good."""

    estimate: Float[np.ndarray, "run"]
    """Mean over chains of their estimates of the learning coefficient."""
    error: Float[np.ndarray, "run"]
    """Its standard error."""
    late: Float[np.ndarray, "run"]
    """The estimate from the later half of the draws that count."""
    trace: Float[np.ndarray, "run block"]
    """n_beta times the excess loss, block by block, the burn-in included."""
    drift: Float[np.ndarray, "run"]
    """By how many standard errors the last third of the draws lies above the first."""
    acceptance: Float[np.ndarray, "run"]
    """Mean Metropolis acceptance."""
    overshoot: Float[np.ndarray, "run"]
    """The share of the estimate that comes from steps which the Metropolis rule would refuse."""
    failed: Bool[np.ndarray, "run check"]
    """Which of the checks of `core.chains` the run fails."""


def summed(
    losses: Float[np.ndarray, "run chain block"],
    acceptance: Float[np.ndarray, "run chain block"],
    refused: Float[np.ndarray, "run chain block"],
    at_centre: Float[np.ndarray, "run chain"],
    n_beta: Float[np.ndarray, run],
    ends: Int[np.ndarray, "block"],
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
    lr: Float[np.ndarray, run],
    n_beta: Float[np.ndarray, run],
    localisation: Float[np.ndarray, run],
    off: Float[np.ndarray, run],
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
