"""Langevin chains on potentials of any shapes, batched over those of one shape: their losses, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from assay.core.chains import block_ends
from assay.core.experiment import Bench
from assay.core.fit import Group, fit
from assay.core.langevin import langevin
from assay.subjects.potentials import Potential, mean_loss, minimum


class Sampled(NamedTuple):
    """What chains of several runs leave behind; all in the order of the runs."""

    losses: Float[Tensor, "run chain block"]
    """Mean loss of each block of steps."""
    acceptance: Float[Tensor, "run chain block"]
    """Mean probability with which the Metropolis rule would have taken the steps."""
    at_centre: Float[Tensor, "run chain"]
    """Loss at the point where a chain starts, which it takes for its minimum."""
    diverged: Bool[np.ndarray, run]
    """Runs with a chain whose loss was once not finite."""


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
    """Chains of each run from its potential's minimum, of which every weight is moved by `off`; recorded in equal blocks."""
    shapes = [(type(p), *p.shapes.items()) for p in potentials]
    parts = [np.array([i for i, shape in enumerate(shapes) if shape == one]) for one in dict.fromkeys(shapes)]
    count = seeds.shape[1]
    groups: list[Group] = []
    centres = []
    for part in parts:
        many = [potentials[i] for i in part for _ in range(count)]
        away = torch.from_numpy(off[part].repeat(count))
        start = {name: w + away.view(-1, *[1] * (w.ndim - 1)) for name, w in minimum(many).items()}
        loss = mean_loss(many)
        centres.append(loss(start, None))
        knobs = {"lr": lr, "n_beta": n_beta, "localisation": localisation}
        per_chain = {name: values[part].repeat(count) for name, values in knobs.items()}
        groups.append(langevin(loss, start, seeds[part].ravel(), **per_chain, stream="potentials", acceptance=True))
    done = fit(groups, lambda step: None, steps=steps, probe_at=block_ends(steps, blocks), bench=bench)
    order = torch.from_numpy(np.argsort(np.concatenate(parts), kind="stable"))

    def gathered(each: Sequence[np.ndarray | Tensor]) -> Tensor:
        return torch.cat([torch.as_tensor(x).cpu().view(-1, count, *x.shape[1:]) for x in each])[order]

    broken = gathered([d.diverged for d in done]).any(1).numpy()
    losses, acceptance = (gathered([d.history[name] for d in done]) for name in ("loss", "acceptance"))
    return Sampled(losses, acceptance, gathered(centres), broken)
