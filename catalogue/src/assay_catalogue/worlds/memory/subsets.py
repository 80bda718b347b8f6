"""Which documents each model of a block is trained on, and what counterfactual memorisation is of
the losses that come out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from assay.core.errors import SpecError
from assay.train import rng


def balanced(seed: int, models: int, documents: int, rate: float) -> Bool[np.ndarray, "model doc"]:
    """Draw subsets so that each document is in exactly rate · models of them, drawn for each
    document by itself.

    In a model that has a document, every other one is there with probability `rate`, as if each
    were kept by lot.
    Raises: SpecError where a document would be in none of the models, in all, or in a broken
    number."""
    count = round(rate * models)
    if not 0 < count < models or abs(count - rate * models) > 1e-9:
        raise SpecError(
            f"each document has to be in some of {models} models and out of others, got "
            f"{rate:g} of them"
        )
    scores = rng.generator(seed, "memory.subsets").random((models, documents))
    return np.argsort(scores, axis=0) < count


def memorisation(
    loss: Float[np.ndarray, "model doc"], membership: Bool[np.ndarray, "model doc"]
) -> Float[np.ndarray, " doc"]:
    """Counterfactual memorisation of each document, in the unit of the loss.

    Formula: mean loss of the models without it − mean loss of those with it
    Source: Zhang et al. 2023, Counterfactual Memorization in Neural Language Models, section 2;
    there of accuracies."""
    return _mean(loss, ~membership) - _mean(loss, membership)


def exchanged(
    seed: int, membership: Bool[np.ndarray, "model doc"]
) -> Bool[np.ndarray, "model doc"]:
    """Exchange, for each document by itself, the models' labels by lot: who had it is then no
    longer told."""
    scores = rng.generator(seed, "memory.exchanged").random(membership.shape)
    return np.take_along_axis(membership, np.argsort(scores, axis=0), axis=0)


def _mean(
    loss: Float[np.ndarray, "model doc"], which: Bool[np.ndarray, "model doc"]
) -> Float[np.ndarray, " doc"]:
    return np.where(which, loss, 0.0).sum(0) / which.sum(0)
