"""Sparse inputs, given that at least one feature is present."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from assay.core.heavy import torch
from assay.core.runs import Runs
from assay.train import rng


def present_features(
    runs: Runs, features: int, batch: int, stream: str
) -> Float[torch.Tensor, "run b f"]:
    """Draw inputs of `sparse_features` given that at least one feature is present.

    At density .01 that is one input in twenty of five features: the others are all 0 and say
    nothing new. The feature that is present first is drawn from its law, those before it are
    absent, and those after it are independent.

    Args:
        runs: with a per-run field `density`.
        features: number of features.
        batch: number of inputs.
        stream: name of the random stream.
    Example:
        >>> import numpy as np
        >>> from dataclasses import dataclass
        >>> from assay.core import PerRun, Runs, Spec
        >>> from assay_catalogue.data.present_features import present_features
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Inputs(Spec):
        ...     density: PerRun[float] = 0.01
        >>> runs = Runs([Inputs(seed=0)])
        >>> x = present_features(runs, features=5, batch=1000, stream="test")
        >>> bool((x > 0).any(-1).all())  # none of 1,000 inputs is empty
        True
    """
    distinct, back = np.unique(runs.seeds, return_inverse=True)
    v = rng.uniform(distinct, f"planted.{stream}", 0, (batch, features))[back]
    u = rng.uniform(distinct, f"planted.{stream}.first", 0, (batch, 1))[back]
    p = runs.each("density")[:, None, None]
    first_by = 1 - (1 - p) ** np.arange(
        1, features + 1
    )  # probability that a feature up to this place is present
    first = (u * first_by[..., -1:] >= first_by).sum(-1, keepdims=True)
    place = np.arange(features)
    v = np.where(place < first, 1.0, np.where(place == first, p * v, v))
    return torch.from_numpy(np.where(v < p, v / p, 0.0).astype(np.float32))
