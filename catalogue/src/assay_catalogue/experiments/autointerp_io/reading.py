"""What one model is read for: the two texts, its MLP's activations on them, and what each feature
of a dictionary does there and writes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.data.harvest import Harvest
from assay.dictionaries.dictionary import Dictionary
from assay.subjects.pretrained import load
from assay.train.rng import permutation
from assay_catalogue.analysis.readout import Readout, readout
from assay_catalogue.explaining.learner import Split
from assay_catalogue.explaining.rule import Positions

Values = tuple[Float[np.ndarray, "row"], Float[np.ndarray, "row"]]
"""Activations on the text that is explained, and on the one that is not."""


@dataclass(frozen=True, eq=False)
class Reading:
    """Two texts and a model on them; all dictionaries of one model share it."""

    seen: Positions
    fresh: Positions
    split: Split
    """The first text; a quarter of its files says when rules stop."""
    h: tuple[torch.Tensor, torch.Tensor]
    """The MLP's activations on either text [row m]."""
    readout: Readout
    W_U: Float[torch.Tensor, "v d"]
    vocabulary: list[str]


@lru_cache(maxsize=1)
def reading(data: Harvest, test: Harvest) -> Reading:
    """Read the model of these harvests."""
    model = load(data.spec.subject)
    W_U = model.model.get_output_embeddings().weight.detach().float()
    train_positions, fresh = (Positions(part.tokens, part.keep) for part in (data, test))
    h = tuple(torch.from_numpy(part.gather(part.kept)) for part in (data, test))
    held = data.document[data.kept] % 4 == 0
    return Reading(
        train_positions,
        fresh,
        Split(train_positions, held),
        (h[0], h[1]),
        readout(model, 0),
        W_U,
        [model.decode([i]) for i in range(len(W_U))],
    )


@dataclass(frozen=True, eq=False)
class Features:
    """The features of one dictionary on both texts, and what they write."""

    reading: Reading
    f: tuple[Float[torch.Tensor, "feature row"], Float[torch.Tensor, "feature row"]]
    weights: Float[np.ndarray, "feature v"]
    """Centred logit weights of decoder rows, the norm's divisor left out: what each feature
    promotes."""

    @staticmethod
    def of(dictionary: Dictionary, read: Reading) -> Features:
        """The features of a dictionary of this model's activations."""
        assert dictionary.scale is not None  # a trained dictionary knows how its inputs were scaled
        rows = (dictionary.W_dec[0] @ read.readout.W_out) / dictionary.scale[0]
        weights = (read.readout.project(rows) * read.readout.gain) @ read.W_U.T
        f = tuple(dictionary.encode(h).T.contiguous() for h in read.h)
        return Features(read, (f[0], f[1]), (weights - weights.mean(1, keepdim=True)).numpy())

    def values(self, feature: int) -> Values:
        """One feature's activations on both texts."""
        return self.f[0][feature].numpy(), self.f[1][feature].numpy()

    def lasting(self, firings: int, seed: int, stream: str) -> Int[np.ndarray, "feature"]:
        """Features that fire so often on both texts, in an order drawn by lot."""
        candidates = np.flatnonzero(
            np.minimum(*((f > 0).sum(1).numpy() for f in self.f)) >= firings
        )
        return candidates[
            permutation(np.array([seed]), f"autointerp.{stream}", 0, len(candidates))[0]
        ]


def dense_as(
    a: Float[torch.Tensor, "row item"],
    b: Float[torch.Tensor, "row item"],
    rates: Float[np.ndarray, "item"],
) -> list[Values]:
    """Activations on both texts above the threshold at which each fires as often as asked on the
    first; as many as there are of both."""
    edge = [
        float(torch.kthvalue(a[:, i], max(1, round((1 - r) * len(a)))).values)
        for i, r in enumerate(rates[: a.shape[1]])
    ]
    return [
        (np.maximum(a[:, i].numpy() - e, 0), np.maximum(b[:, i].numpy() - e, 0))
        for i, e in enumerate(edge)
    ]
