"""What the MLPs of a language model write to their activations and no W_out reads: all blocks of a
model, with sums per document."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.readout import output_matrix
from assay.subjects.site import Site
from assay.train.rng import normal

OUTLIER = 6.0
"""Activations longer than so many medians of their block are left out, as harvests leave them
out."""


@dataclass(frozen=True, eq=False)
class Unread:
    """Variance of every block's activations about their mean, and what the last block's tokens
    were."""

    total: Float[np.ndarray, "block document"]
    """Σ ‖h − mean‖² over the tokens that are kept."""
    null: Float[np.ndarray, "block document"]
    """The part of it that the block's W_out does not read."""
    random_null: Float[np.ndarray, "block document"]
    """The part of it outside of a random subspace of W_out's rank, another one for each block."""
    h: Float[torch.Tensor, "n m"]
    """The last block's activations at the tokens that are kept, float32."""
    mid: Float[torch.Tensor, "n d"]
    """The stream before its MLP writes to it."""
    document: Int[torch.Tensor, " n"]
    """The document of each of these tokens."""


def unread(
    model: Pretrained,
    tokens: Int[np.ndarray, "window s"],
    document: Int[np.ndarray, " window"],
    seed: int = 0,
) -> Unread:
    """Measures what each block's W_out does not read of its activations, on windows of documents
    numbered from 0.

    Position 0 and massive activations (`OUTLIER`) are left out. The seed draws the random
    subspaces. All windows are run at once.

    Formula: null Σ ‖(I − QQᵀ)(h − mean)‖², Q an orthonormal basis of what W_out reads
    """
    last, sites = (
        Site("resid_mid", model.layers - 1),
        [Site("mlp_post", i) for i in range(model.layers)],
    )
    acts = model.run(
        torch.from_numpy(tokens.astype(np.int64)), capture=[*sites, last], logits=False
    ).acts
    row_documents, documents = (
        torch.from_numpy(document)[:, None].expand(-1, tokens.shape[1] - 1).flatten(),
        int(document.max()) + 1,
    )
    sums = np.zeros((3, model.layers, documents))
    for i, site in enumerate(sites):
        h = acts.pop(site)[:, 1:].float().flatten(0, 1).cpu()
        keep = h.norm(dim=1) <= OUTLIER * h.norm(dim=1).median()
        h, W_out = h[keep], output_matrix(model, i)
        centred = h - h.mean(0)
        any_rows = torch.from_numpy(
            normal(np.array([seed]), "unread.subspace", i, tuple(W_out.shape))[0]
        )
        projections = [centred, *(centred @ torch.linalg.qr(rows)[0] for rows in (W_out, any_rows))]
        squares = torch.stack([x.double().square().sum(1) for x in projections])
        sums[:, i] = (
            torch.zeros(3, documents, dtype=torch.float64)
            .index_add_(1, row_documents[keep], squares)
            .numpy()
        )
    total, read, random_read = sums
    mid = acts[last][:, 1:].float().flatten(0, 1).cpu()[keep]
    return Unread(total, total - read, total - random_read, h, mid, row_documents[keep])
