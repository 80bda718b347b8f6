"""Sums over the tokens of each document, in float64: of the activations, of a dictionary's
reconstructions, and of losses.

Everything that `assay evaluate` prints is a function of these sums, so that any cutting into
batches and shards gives the same. Lengths are summed about a fixed `centre` near the mean;
`summary` moves them to the exact mean with the sums of the vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.sums import RECONSTRUCTED, of_batch, of_rows

Sums: TypeAlias = "dict[str, torch.Tensor]"
ROWS = 512
"""Rows encoded at a time: the features of more would not stay in a cache, and of a wide dictionary
not in memory."""


def of_activations(
    y: Float[torch.Tensor, "b d"],
    document: Int[torch.Tensor, "b"],
    documents: int,
    centre: Float[torch.Tensor, "d"],
) -> dict[str, Float[torch.Tensor, "document ..."]]:
    """What is the same for every dictionary: `tokens`, ‖y − c‖² `variance`, ‖y‖² `square_raw`, and
    the vectors `sum` of y − c."""
    parts = of_rows(y, centre)
    summed = _add(torch.stack(list(parts.values()), 1), document, documents).unbind(1)
    return dict(zip(parts, summed, strict=True)) | {"sum": _add(y - centre, document, documents)}


def of_dictionary(
    dictionary: Dictionary,
    x: Float[torch.Tensor, "b d_in"],
    y: Float[torch.Tensor, "b d"],
    document: Int[torch.Tensor, "b"],
    documents: int,
    centre: Float[torch.Tensor, "d"],
) -> tuple[
    dict[str, Float[torch.Tensor, "document ..."]],
    Float[torch.Tensor, "f"],
    Float[torch.Tensor, "b d"],
]:
    """A dictionary's sums per document with the vectors `sum_hat` of ŷ − c, how often each feature
    is on, and ŷ, made from x."""
    firings = torch.zeros(dictionary.width, dtype=torch.float64, device=x.device)
    scalars, y_hat = torch.empty(len(x), len(RECONSTRUCTED), device=x.device), torch.empty_like(y)
    with torch.no_grad():
        for a in range(0, len(x), ROWS):
            part = slice(a, a + ROWS)
            row_sums, on, y_hat[part] = of_batch(dictionary, x[part], y[part], centre)
            firings += on
            scalars[part] = torch.stack([row_sums[name] for name in RECONSTRUCTED], 1)
    sums = dict(zip(RECONSTRUCTED, _add(scalars, document, documents).unbind(1), strict=True))
    return sums | {"sum_hat": _add(y_hat - centre, document, documents)}, firings, y_hat


def of_losses(
    values: Float[torch.Tensor, "v b"], document: Int[torch.Tensor, "b"], documents: int
) -> Float[torch.Tensor, "v document"]:
    """Several series of one number per token, summed over each document."""
    return _add(values.T, document, documents).T


def add(total: Sums, more: Mapping[str, torch.Tensor]) -> None:
    """Add each sum to the one of its name."""
    for name, value in more.items():
        total[name] = total[name] + value if name in total else value


def finite(sums: Mapping[str, torch.Tensor]) -> bool:
    """Tell whether every sum is a number; squares of a reconstruction may be none where it itself
    still is one."""
    return all(bool(value.isfinite().all()) for value in sums.values())


def arrays(sums: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """The sums as float64 arrays."""
    return {name: value.detach().double().cpu().numpy() for name, value in sums.items()}


def _add(
    values: Float[torch.Tensor, "b n"], document: Int[torch.Tensor, "b"], documents: int
) -> Float[torch.Tensor, "document n"]:
    out = torch.zeros(documents, values.shape[1], dtype=torch.float64, device=values.device)
    return out.index_add_(0, document, values.double())
