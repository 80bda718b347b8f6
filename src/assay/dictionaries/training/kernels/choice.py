"""Choice: which kernel computes a step: gradients by hand, dense or sparse, where there are some
for a loss and a nonlinearity, else autograd; and a few runs at a time, for the caches of a CPU."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from assay.core.heavy import torch
from assay.dictionaries.gates import Gated
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.nonlinearity import Nonlinearity, ReLU
from assay.dictionaries.selection import BatchTopK, TopK
from assay.dictionaries.training import losses
from assay.dictionaries.training.kernels.active import by_places
from assay.dictionaries.training.kernels.dense import dense
from assay.dictionaries.training.kernels.reference import Kernel, Step, StepInput, autograd
from assay.dictionaries.training.kernels.sparse import (
    Single,
    gated_sparse,
    jump_sparse,
    pays,
    relu_sparse,
    topk_sparse,
)
from assay.dictionaries.training.learners import Seen, TakesNoNote
from assay.dictionaries.training.losses import EffectPenalty, Loss

CACHED = 3 * 2**17
"""Features of one chunk of runs, rows × width × runs, that stay in a CPU's caches: 18 runs in one
piece are slower than in 18."""
TOGETHER = 2**22
"""Numbers in a matrix, or in the features, of runs that take a sparse step side by side: 14 runs of
512 features and 576 dimensions. Together they take two thirds of the time; larger ones gain
nothing."""


def kernel_for(loss: Loss, nonlinearity: Nonlinearity, width: int) -> Kernel:
    """The fastest kernel for this loss and nonlinearity as far as shapes tell; plain autograd where
    none was written by hand."""
    sparse = sparse_for(loss, nonlinearity)
    if (
        isinstance(nonlinearity, TopK | BatchTopK)
        and sparse is not None
        and pays(nonlinearity.k, width)
    ):
        return sparse
    return dense_for(loss, nonlinearity)


def dense_for(loss: Loss, nonlinearity: Nonlinearity) -> Kernel:
    """Gradients by hand through dense products."""
    effects = isinstance(loss, EffectPenalty) and isinstance(nonlinearity, TopK)
    return dense if effects or sparse_for(loss, nonlinearity) else autograd


def sparse_for(loss: Loss, nonlinearity: Nonlinearity) -> Single | None:
    """Gradients by hand that touch only what is on; each has a dense kernel beside it."""
    if isinstance(nonlinearity, ReLU):
        by_hand = loss is losses.l1 or isinstance(loss, losses.L1Weighted)
        return relu_sparse if by_hand else None
    if isinstance(nonlinearity, TopK | BatchTopK):
        by_hand = loss is losses.mse or isinstance(loss, losses.TopKAux | losses.Matryoshka)
        return topk_sparse if by_hand else None
    if isinstance(nonlinearity, Gated):
        return gated_sparse if loss in (losses.gated, losses.gated_no_aux) else None
    return jump_sparse if isinstance(nonlinearity, JumpReLU) and loss is losses.jumprelu else None


def in_chunks(kernel: Kernel, step: StepInput, room: dict[str, torch.Tensor]) -> Step:
    """What `kernel` gives, computed for a few runs at a time where that keeps a CPU's caches warm;
    gradients in float32.

    `room` holds the gradients of all runs from one call to the next: fresh memory of that size
    costs as much as a product."""
    chunks = _chunks(kernel, step)
    if len(chunks) == 1:
        series, grads = kernel(step)
        return series, {name: value.float() for name, value in grads.items()}
    chunk_series: list[dict[str, torch.Tensor]] = []
    # Runs of a chunk share a launch, never a sum, so that one that breaks leaves its neighbours
    # alone. Alone and in a group a run differs by rounding only: a batched product may add up in
    # another order.
    for chunk in chunks:
        series, grads = kernel(step.of_runs(chunk))
        chunk_series.append(series)
        for name, value in grads.items():
            if name not in room:
                # Like the parameters, so float32: the assignment below converts and copies at once.
                room[name] = torch.empty_like(step.params[name])
            room[name][chunk] = value
    return {
        name: torch.cat([series[name] for series in chunk_series]) for name in chunk_series[0]
    }, room


def _chunks(kernel: Kernel, step: StepInput) -> list[slice]:
    """Which runs are computed at a time."""
    x, (runs, f, d) = step.x, step.params["W_enc"].shape
    choice, sparse = False, [isinstance(kernel, Single)] * runs
    if isinstance(kernel, ByDensity) and kernel.apart(x, f):
        is_sparse = step.more["sparse"].tolist() if not kernel.settled(x, f) else [True] * runs
        choice, sparse = True, is_sparse
    # An accelerator wants as many runs as can be in one launch; a CPU wants the features of a chunk
    # to stay in cache between the products that read them.
    dense_runs = sparse_runs = runs
    if x.device.type == "cpu":
        dense_runs = 1 if choice else max(1, CACHED // (x.shape[-2] * f))
        sparse_runs = max(1, TOGETHER // (max(x.shape[-2], d) * f))
    edges = [0]
    for r in range(1, runs):
        most = sparse_runs if sparse[r - 1] else dense_runs
        # Neighbours that take the same path.
        if sparse[r] != sparse[r - 1] or r - edges[-1] >= most:
            edges.append(r)
    return [slice(a, b) for a, b in itertools.pairwise([*edges, runs])]


FEW = {
    "cpu": {torch.float32: 0.2, torch.bfloat16: 0.06},
    "cuda": {torch.float32: 0.03, torch.bfloat16: 0.004},
}
"""Share of features that are on below which the sparse step is the cheaper one, by the precision of
products."""
SLACK = 1.5
"""It stays until that many times as many are on, so that a run does not go back and forth."""
WORTH = {
    "cpu": {torch.float32: 2**22, torch.bfloat16: 2**25},
    "cuda": {torch.float32: 2**34, torch.bfloat16: 2**36},
}
"""Rows times width times dimensions from which a choice is made at all, by the precision of
products: below, what a sparse step calls takes longer than what it saves."""


@dataclass(frozen=True)
class ByDensity(TakesNoNote):
    """A kernel that takes the sparse step of a run where few features are on, else the dense one;
    and a learner that keeps which.

    The choice hangs on the run's own last L0, on shapes, on the precision and the kind of device
    alone, and runs share no sum: so it is the same for a run alone and in a group, on any machine,
    and after a resume."""

    dense: Kernel
    sparse: Kernel
    dtype: torch.dtype
    """Precision of products."""
    most: int | None = None
    """Features on in a row at most, where a dictionary chooses them itself and they are few: then
    the first step is a sparse one."""

    def settled(self, x: torch.Tensor, width: int) -> bool:
        """Whether so few are on for certain that no flag need be read, for which an accelerator
        would have to be waited for."""
        return self.most is not None and self.most < FEW[x.device.type][self.dtype] * width

    def apart(self, x: torch.Tensor, width: int) -> bool:
        """Whether there is a choice."""
        # By shapes, never by how many runs there are or how fast the machine is: the path that a
        # run takes is part of its result, if only in the last digits.
        if not by_places(x.device):
            return False
        return x.shape[-2:].numel() * width >= WORTH[x.device.type][self.dtype]

    def __call__(self, step: StepInput) -> Step:
        """What the kernel gives that the run is to take."""
        # Where there is a choice, the runs of a chunk have made the same one. Elsewhere the flag is
        # not even read: to read it would wait for an accelerator.
        x, width = step.x, step.params["W_enc"].shape[1]
        few = self.apart(x, width) and (self.settled(x, width) or bool(step.more["sparse"].all()))
        rest = {name: value for name, value in step.more.items() if name != "sparse"}
        return (self.sparse if few else self.dense)(replace(step, more=rest))

    # which of them, kept and learned along with the parameters (see `learners.py`)

    def keep(self, seeds: np.ndarray, f: int) -> dict[str, torch.Tensor]:
        """Whether the next step is a sparse one [run]."""
        return {"path.sparse": torch.full((len(seeds),), self.most is not None)}

    def learn(self, state: Mapping[str, torch.Tensor], observation: Seen) -> None:
        """Choose the next step by the density of this one; a density that is no number changes
        nothing."""
        sparse, l0 = state["path.sparse"], observation.noted["l0"]
        few = FEW.get(sparse.device.type, FEW["cpu"])[self.dtype] * state["b_enc"].shape[-1]
        # Not `l0 <= …`: a comparison with NaN is false, so that ~(…) leaves the choice as it was.
        sparse.logical_and_(~(l0 > SLACK * few)).logical_or_(l0 < few)
