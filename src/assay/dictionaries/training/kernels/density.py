"""ByDensity: the dense or the sparse step, run by run, as the step before found few or many
features on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.core.heavy import torch
from assay.dictionaries.nonlinearity import Nonlinearity
from assay.dictionaries.training.kernels.reference import NOTHING, Kernel, Note, Step
from assay.dictionaries.training.learners import Seen, TakesNoNote
from assay.dictionaries.training.losses import Loss, Params

FEW = {torch.float32: 0.2, torch.bfloat16: 0.06}
"""Share of features that are on below which the sparse step is the cheaper one, by the precision of
products."""
SLACK = 1.5
"""It stays until that many times as many are on, so that a run does not go back and forth."""
WORTH = 2**16
"""Rows times width from which a choice is made at all: below, what a sparse step calls takes longer
than what it saves."""


@dataclass(frozen=True)
class ByDensity(TakesNoNote):
    """A kernel that takes the sparse step of a run where few features are on, else the dense one;
    and a learner that keeps which.

    The choice hangs on the run's own last L0, on shapes and on the precision alone, and each run is
    computed by itself: so it is the same for a run alone and in a group, on any machine, and after
    a resume."""

    dense: Kernel
    sparse: Kernel
    dtype: torch.dtype
    """Precision of products."""
    first: bool = False
    """Whether the first step is a sparse one, as where a dictionary chooses few features itself."""

    def apart(self, x: torch.Tensor, width: int) -> bool:
        """Whether runs are computed one by one: where there is a choice. Sparse steps were never
        measured but on a CPU."""
        # By shapes, never by how many runs there are or how fast the machine is: the path that a
        # run takes is part of its result, if only in the last digits.
        return x.device.type == "cpu" and x.shape[-2] * width >= WORTH

    def __call__(
        self,
        loss: Loss,
        params: Params,
        x: torch.Tensor,
        nonlinearity: Nonlinearity,
        penalty: torch.Tensor,
        dtype: torch.dtype,
        more: Mapping[str, Any] = NOTHING,
        note: Note | None = None,
    ) -> Step:
        """What the kernel gives that the run is to take."""
        rest = {name: value for name, value in more.items() if name != "sparse"}
        # Where runs are apart there is one here, so `all` is that run's own choice. On an
        # accelerator the flag is not even read: to read it would wait for the device.
        few = self.apart(x, params["W_enc"].shape[1]) and bool(more["sparse"].all())
        return (self.sparse if few else self.dense)(
            loss, params, x, nonlinearity, penalty, dtype, rest, note
        )

    # which of them, kept and learned along with the parameters (see `learners.py`)

    def keep(self, seeds: np.ndarray, f: int) -> dict[str, torch.Tensor]:
        """Whether the next step is a sparse one [run]."""
        return {"path.sparse": torch.full((len(seeds),), self.first)}

    def learn(self, state: Mapping[str, torch.Tensor], observation: Seen) -> None:
        """Choose the next step by the density of this one; a density that is no number changes
        nothing."""
        sparse, density, few = (
            state["path.sparse"],
            observation.noted["l0"] / state["b_enc"].shape[-1],
            FEW[self.dtype],
        )
        # Not `density <= …`: a comparison with NaN is false, so that ~(…) leaves the choice as it
        # was.
        sparse.copy_((density < few) | (sparse & ~(density > SLACK * few)))
