"""Inputs whose truth is known because we planted it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from assay.core import rng
from assay.core.runs import Runs


def sparse_features(runs: Runs, features: int, batch: int, stream: str = "train") -> Callable[[int], Float[Tensor, "run b f"]]:
    """A source of batches: x_i = u_i · 1[v_i < p], u and v uniform on [0, 1), independent; p is the run's `density`.

    Every run has its own batch, drawn once per distinct seed; runs that share a seed share u and v and differ in p
    alone. Streams of different names are independent: train on "train", measure on "test".
    Source: Toy Models of Superposition, "Experiment setup" (p = 1 − S).
    """
    seeds = runs.seeds
    distinct, back = np.unique(seeds, return_inverse=True)
    density = torch.from_numpy(runs.each("density").astype(np.float32)).view(-1, 1, 1)
    spread = torch.from_numpy(back)

    def draw(step: int) -> Float[Tensor, "run b f"]:
        u, v = rng.uniform(distinct, f"planted.{stream}", step, (2, batch, features)).swapaxes(0, 1)
        return torch.from_numpy(u)[spread] * (torch.from_numpy(v)[spread] < density)

    return draw


def one_hot(features: int) -> Float[Tensor, "b f"]:
    """Each feature by itself, with value 1: the identity, as a batch."""
    return torch.eye(features)


def variance(density: float) -> float:
    """The variance of one input feature, p/3 − p²/4: E u² = 1/3 and (E u)² = 1/4, each present with probability p."""
    return density / 3 - density**2 / 4
