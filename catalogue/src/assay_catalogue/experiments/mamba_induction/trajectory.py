"""Along a training of mamba-induction: the local learning coefficient of the states that it passes,
by Langevin chains at each of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from assay.core import Bench, Runs, Trained, fit
from assay.core.heavy import torch, xr
from assay.core.measures import measures
from assay_catalogue.analysis.chains import block_ends, estimate, mean_over
from assay_catalogue.analysis.langevin import langevin
from assay_catalogue.analysis.sampler import n_beta_of
from assay_catalogue.experiments.mamba_induction.method import (
    MambaInduction,
    answer_loss,
    draw_sequences,
    errors,
    moments,
)

BLOCKS = 20
"""Equal parts of a chain, of each of which the mean loss is kept; its steps are a multiple."""


def chains_along(runs: Runs[MambaInduction], bench: Bench, before: Trained) -> Trained:
    """Langevin chains from each state that a training kept, on fresh sequences; and how that state
    does.

    Chains of one training share noise and sequences, so that their differences are those of the
    states.

    Formula: n_beta · mean over draws of (loss there − loss at the state), both of the same
    sequences"""

    s = runs.shared
    states = {
        name.removesuffix("/at"): tensor.cpu()
        for name, tensor in before.tensors.items()
        if name.endswith("/at")
    }  # [run, moment, …]
    count, n_beta = len(moments(s.steps)) * s.chains, n_beta_of(s.samples)
    centre = {
        name: tensor.flatten(0, 1).repeat_interleave(s.chains, 0).contiguous()
        for name, tensor in states.items()
    }
    seeds = runs.seeds[:, None] * 1_000 + np.tile(np.arange(s.chains), len(moments(s.steps)))

    def loss(params: Mapping[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
        return answer_loss(params, tokens.repeat_interleave(count, 0))

    group = langevin(
        loss,
        centre,
        seeds.ravel(),
        lr=s.step,
        n_beta=n_beta,
        localisation=s.localisation,
        stream="mamba-induction.chains",
        paired=True,
    )
    trained = fit(
        [group],
        lambda step: draw_sequences(runs, "chains", step, s.batch // 2),
        steps=s.draws,
        probe_at=block_ends(s.draws, BLOCKS),
        bench=bench,
    )[0]
    chain_loss, centre_loss = (
        mean_over(trained.steps.tolist(), trained.history[name], s.draws // 2).reshape(
            len(runs), -1, s.chains, BLOCKS // 2
        )
        for name in ("loss", "centre")
    )
    third = chain_loss.shape[-1] // 3
    excess = chain_loss - centre_loss
    with torch.no_grad():
        wrong = [
            errors(runs, {name: tensor[:, i] for name, tensor in states.items()}, "test")
            for i in range(count // s.chains)
        ]
    values = {
        "llc": estimate(chain_loss, centre_loss.mean(-1), n_beta).mean(-1),
        "moved": n_beta * (excess[..., -third:].mean(-1) - excess[..., :third].mean(-1)).mean(-1),
        "at": centre_loss.mean((-1, -2)),
        "wrong": np.stack(wrong, 1),
    }
    diverged = before.diverged | trained.diverged.reshape(len(runs), -1).any(1)
    return Trained(
        {name: torch.from_numpy(value) for name, value in values.items()},
        {},
        {},
        np.zeros(0, np.int64),
        diverged,
    )


def measure_along(runs: Runs[MambaInduction], trained: Trained, bench: Bench) -> xr.Dataset:
    """What the chains found at each step that was kept."""
    units = {"llc": "1", "moved": "1", "at": "nats", "wrong": "share"}
    variables = {name: ("run moment", trained.tensors[name], unit) for name, unit in units.items()}
    return measures(runs, coords={"moment": moments(runs.shared.steps)}, **variables)
