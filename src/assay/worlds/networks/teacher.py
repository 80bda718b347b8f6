"""Classes that a random linear teacher draws for normal inputs: a small classification problem of
its own for every run."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.core.heavy import torch


def labelled(
    seeds: Int[np.ndarray, "run"],
    examples: int,
    features: int,
    classes: int,
    sharpness: float,
    zipf: float = 0.0,
) -> tuple[Float[torch.Tensor, "run b f"], Int[torch.Tensor, "run b"]]:
    """Inputs, standard normal, and classes drawn from softmax(sharpness · x V/√features − zipf ·
    log rank), V standard normal and each run's own.

    With zipf = 1 class k is about 1/k as frequent as the first, as words are; with 0 all are alike.
    Drawn by Gumbel's trick."""
    x = rng.normal(seeds, "teacher.inputs", 0, (examples, features))
    weights = rng.normal(seeds, "teacher.weights", 0, (features, classes)) * np.float32(
        sharpness / features**0.5
    )
    noise = rng.uniform(seeds, "teacher.classes", 0, (examples, classes)).astype(np.float64)
    gumbel = -np.log(-np.log(np.clip(noise, 1e-12, None)))
    logits = x @ weights - zipf * np.log(np.arange(1, classes + 1))
    return torch.from_numpy(x), torch.from_numpy((logits + gumbel).argmax(-1))
