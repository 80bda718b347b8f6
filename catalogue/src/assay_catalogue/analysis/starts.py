"""The best of several starts of one run."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from assay.core.fit import Trained
from assay.core.heavy import torch


def best_starts(trained: Trained, score: Float[torch.Tensor, " start"], k: int) -> Trained:
    """Of every k neighbouring runs, starts of one, the run with the lowest score; one with a NaN is
    taken last.

    A run whose starts did not all stay finite counts as diverged: the best of fewer is another
    quantity."""
    best = score.view(-1, k).nan_to_num(torch.inf).argmin(1)
    pick = best + k * torch.arange(len(best), device=best.device)
    indices = pick.cpu().numpy()
    return Trained(
        tensors={name: v[pick] for name, v in trained.tensors.items()},
        header=trained.header,
        history={name: v[indices] for name, v in trained.history.items()},
        steps=trained.steps,
        diverged=np.any(trained.diverged.reshape(-1, k), axis=1),
    )
