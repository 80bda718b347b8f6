"""Inputs whose truth is known because we planted it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from assay.core import rng
from assay.core.runs import Runs


def sparse_features(runs: Runs, features: int, batch: int, stream: str = "train") -> Callable[[int], Float[Tensor, "run b f"]]:
    """A source of batches: x_i is uniform on [0, 1) with probability p, the run's `density`, and 0 otherwise; all independent.

    Every run has its own batch, drawn once per distinct seed: from one uniform v, x = v/p where v < p, so runs that share a
    seed and differ in p share v. Streams of different names are independent: train on "train", measure on "test".
    Source: Toy Models of Superposition, "Experiment setup" (p = 1 − S).
    """
    distinct, back = np.unique(runs.seeds, return_inverse=True)
    density = torch.from_numpy(runs.each("density").astype(np.float32)).view(-1, 1, 1)
    inverse = 1 / density
    spread = None if np.array_equal(back, np.arange(len(distinct))) else torch.from_numpy(back)
    block = max(1, 4096 // batch)  # steps drawn at once: opening a stream costs as much as a thousand numbers

    @lru_cache(maxsize=2)
    def drawn(number: int) -> Float[Tensor, "seed step b f"]:
        return torch.from_numpy(rng.uniform(distinct, f"planted.{stream}", number, (block, batch, features)))

    def draw(step: int) -> Float[Tensor, "run b f"]:
        v = drawn(step // block)[:, step % block]
        v = v if spread is None else v[spread]
        x = (v * inverse).neg_()
        return torch.threshold_(x, -1.0, 0.0).neg_()  # 0 where v ≥ p: three times faster than a mask

    return draw


def one_hot(features: int) -> Float[Tensor, "b f"]:
    """Each feature by itself, with value 1: the identity, as a batch."""
    return torch.eye(features)


def variance(density: float) -> float:
    """The variance of one input feature, p/3 − p²/4: E u² = 1/3 and (E u)² = 1/4, each present with probability p."""
    return density / 3 - density**2 / 4
