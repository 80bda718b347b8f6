"""By which path features act: sums per document of the squared effects of two halves of a
dictionary, direct and indirect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.dictionaries.measuring.sums import by_document
from assay.train.rng import permutation

PATHS = ("direct", "indirect")


def halves(share: Float[torch.Tensor, " f"], seed: int) -> dict[str, Int[torch.Tensor, " f"]]:
    """Ways to part features in two halves of equal size, 0 the one that should act directly: by
    number, by direct share, at random.

    "trained" takes the first half of the features, as training with two blocks does. "sorted" gives
    those with the larger direct share of their decoder rows, "random" a draw by the seed.
    """
    f = len(share)
    by_lot = torch.from_numpy(permutation(np.array([seed]), "path-shares.halves", 0, f)[0])
    order = {
        "trained": torch.arange(f),
        "sorted": share.nan_to_num(0.5).argsort(descending=True).cpu(),
        "random": by_lot,
    }
    return {
        name: torch.zeros(f, dtype=torch.long).index_fill_(0, o[f // 2 :], 1)
        for name, o in order.items()
    }


def effect_sums(
    features: Float[torch.Tensor, "b f"],
    rows: Float[torch.Tensor, "f d"],
    pulls: Sequence[Mapping[str, Float[torch.Tensor, "b d"]]],
    parted: Mapping[str, Int[torch.Tensor, " f"]],
    document: Int[torch.Tensor, " b"],
    documents: int,
) -> dict[str, Float[np.ndarray, "way document half"]]:
    """Sums over the tokens of each document of features' squared effects by path, f_i² (g·w_i)², a
    mean over draws of the pulls g.

    `rows` are what a unit of each feature writes; `pulls` holds for each draw g by path; sums are
    for every way in which features are parted, in the order of `parted`. Also `active`: features
    that are on."""
    member = torch.cat([torch.nn.functional.one_hot(half, 2) for half in parted.values()], 1).to(
        features
    )
    square, out = features.square(), {}
    for path in PATHS:
        effect = torch.stack([(draw[path] @ rows.T).square() for draw in pulls]).mean(0)
        out[path] = (square * effect) @ member
    out["active"] = (features > 0).to(features.dtype) @ member
    return {
        name: by_document(values, document, documents).reshape(documents, -1, 2).swapaxes(0, 1)
        for name, values in out.items()
    }
