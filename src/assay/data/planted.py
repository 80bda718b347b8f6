"""Inputs whose truth is known because we planted it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.train import rng


def sparse_features(
    runs: Runs,
    features: int,
    batch: int,
    stream: str = "train",
    density: Float[np.ndarray, "run f"] | None = None,
) -> Callable[[int], Float[torch.Tensor, "run b f"]]:
    """A source of batches: x_i is uniform on [0, 1) with probability p, the run's `density`, and 0
    otherwise; all independent.

    Every run has its own batch, drawn once per distinct seed: from one uniform v, x = v/p where v <
    p, so runs that share a seed and differ in p share v. Streams of different names are
    independent: train on "train", measure on "test". With `density` every feature of every run has
    a probability of its own.

    Args:
        runs: with a per-run field `density`, unless it is given here.
        features: number of features.
        batch: rows of a step.
        stream: name of the random stream.
        density: probabilities p, [run, f].
    Raises: DataError for a `density` outside (0, 1].
    Source: Toy Models of Superposition, "Experiment setup" (p = 1 − S).
    Example:
        >>> import numpy as np
        >>> from assay import Runs, Spec, planted
        >>> p = np.array([[0.5, 0.1]])
        >>> x = planted.sparse_features(Runs([Spec(seed=0)]), features=2, batch=4096, density=p)(0)
        >>> x.shape, [round(float(share), 1) for share in (x > 0).float().mean(1)[0]]
        (torch.Size([1, 4096, 2]), [0.5, 0.1])
    """
    distinct, back = np.unique(runs.seeds, return_inverse=True)
    chance = runs.each("density")[:, None] if density is None else density
    if not ((chance > 0) & (chance <= 1)).all():
        raise DataError(
            f"density is a probability above 0 and at most 1, got {chance.min():g} to "
            f"{chance.max():g}"
        )
    inverse = 1 / torch.from_numpy(chance.astype(np.float32)).unsqueeze(1)
    runs_per_seed = len(back) // len(distinct)  # runs of each seed, which are adjacent
    spread = (
        None
        if np.array_equal(back, np.arange(len(back)) // runs_per_seed)
        else torch.from_numpy(back)
    )
    block = max(
        1, 4096 // batch
    )  # steps drawn at once: opening a stream costs as much as a thousand numbers

    @lru_cache(maxsize=2)
    def draw_block(number: int) -> Float[torch.Tensor, "seed step b f"]:
        return torch.from_numpy(
            rng.uniform(distinct, f"planted.{stream}", number, (block, batch, features))
        )

    def draw(step: int) -> Float[torch.Tensor, "run b f"]:
        v = draw_block(step // block)[:, step % block]
        if spread is None:
            x = (v.unsqueeze(1) * inverse.unflatten(0, (-1, runs_per_seed))).flatten(0, 1).neg_()
        else:
            x = (v[spread] * inverse).neg_()
        return torch.threshold_(
            x, -1.0, 0.0
        ).neg_()  # 0 where v ≥ p: three times faster than a mask

    return draw


def one_hot(features: int) -> Float[torch.Tensor, "b f"]:
    """Each feature by itself, with value 1: the identity, as a batch.

    Args:
        features: number of features.
    Example:
        >>> from assay import planted
        >>> planted.one_hot(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    return torch.eye(features)


def variance(density: float) -> float:
    """The variance of one input feature, p/3 − p²/4: E u² = 1/3 and (E u)² = 1/4, each present with
    probability p.

    Args:
        density: probability p.
    Example:
        >>> from assay import planted
        >>> round(planted.variance(1.0), 4)  # of a uniform number on [0, 1): 1/12
        0.0833
    """
    return density / 3 - density**2 / 4
