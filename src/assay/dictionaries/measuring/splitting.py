"""Splitting: which features of a wide dictionary are children of a feature of a narrow one, and
which are new.

A child points nearly where its parent points and fires only where the parent fires. Both parts have
a control: directions that are random, and firings whose rows are shuffled; what they leave is what
chance would call a child.

Absorption is another matter, and another file: to say that a feature is missing where it should
fire, one must know where it should."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch

COSINE, TOGETHER = 0.7, 0.5
"""Least cosine of decoder rows, and least share of a child's firings at which its parent fires too.

The cosine is the bound between known and novel latents in Sparse Autoencoders Do Not Find Canonical
Units of Analysis (2025); the share is ours.
"""
_ENTRIES = 1 << 24


@dataclass(frozen=True, eq=False)
class Families:
    """For each wide feature its parent, and what that rests on; shares are of the rows that
    `cofiring_sums` saw."""

    parent: Int[np.ndarray, " wide"]
    """The narrow feature that is the parent, −1 where there is none."""
    cosine: Float[np.ndarray, " wide"]
    """Cosine with the nearest narrow row, the candidate parent; NaN for a row of length 0."""
    together: Float[np.ndarray, " wide"]
    """Share of the wide feature's firings at which the candidate fires too; NaN where it never
    fires."""
    children: Int[np.ndarray, " narrow"]
    """Number of children of each narrow feature."""
    novel: float
    """Share of live wide features without a parent; NaN where none is live."""


def candidates(
    narrow: Float[torch.Tensor, "n d"], wide: Float[torch.Tensor, "m d"]
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """For each wide decoder row the nearest narrow one and their cosine, a few rows at a time."""
    if narrow.shape[-1] != wide.shape[-1]:
        raise DataError(
            f"both decoders must be equally wide, got {list(narrow.shape)} and {list(wide.shape)}"
        )
    small, large = (
        rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        for rows in (narrow.detach(), wide.detach())
    )
    lacking = small[:, 0].isnan()
    index, cosine = [], []
    for part in large.split(max(1, _ENTRIES // len(narrow))):
        near = (part @ small.nan_to_num().mT).masked_fill(lacking, -torch.inf).max(1)
        index.append(near.indices)
        cosine.append(near.values)
    return torch.cat(index).cpu().numpy(), torch.cat(cosine).double().clamp(-1, 1).cpu().numpy()


def cofiring_sums(
    candidate: Int[np.ndarray, " m"],
    narrow: Float[torch.Tensor, "b n"],
    wide: Float[torch.Tensor, "b m"],
) -> dict[str, Float[np.ndarray, " m"]]:
    """Over rows of features of both dictionaries: `fires`, how often each wide one fires, `both`,
    how often its candidate too.

    Sums of several calls add up.
    """
    if len(narrow) != len(wide):
        raise DataError(
            f"both dictionaries must have encoded the same rows, got {len(narrow)} and {len(wide)}"
        )
    fires = wide > 0
    both = fires & (narrow > 0)[:, torch.from_numpy(candidate).to(narrow.device)]
    return {
        "fires": fires.sum(0).double().cpu().numpy(),
        "both": both.sum(0).double().cpu().numpy(),
    }


def families(
    candidate: Int[np.ndarray, " m"],
    cosine: Float[np.ndarray, " m"],
    sums: dict[str, Float[np.ndarray, " m"]],
    narrow: int,
    least_cosine: float = COSINE,
    least_together: float = TOGETHER,
) -> Families:
    """Parents and children of `narrow` features, from `candidates` and the sums of `cofiring_sums`.

    Formula: k's parent is j = argmax_i cos(n_i, w_k), if cos ≥ `least_cosine` and P(j fires | k
        fires) ≥ `least_together`; novel = #{live k without parent} / #{live k}, live those that
        fire
    """
    fires = np.asarray(sums["fires"], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        together = np.where(fires > 0, np.asarray(sums["both"]) / fires, np.nan)
    child: Bool[np.ndarray, " m"] = (cosine >= least_cosine) & (together >= least_together)
    live = fires > 0
    novel = float(1 - child[live].mean()) if live.any() else float("nan")
    counted = np.bincount(candidate[child], minlength=narrow)
    return Families(np.where(child, candidate, -1), cosine, together, counted, novel)


def random_like(decoder: Float[torch.Tensor, "n d"], seed: int = 0) -> Float[torch.Tensor, "n d"]:
    """A control decoder: as many rows of the same lengths, in random directions."""
    noise = torch.from_numpy(
        rng.normal(np.array([seed]), "splitting.random", 0, tuple(decoder.shape))[0]
    ).to(decoder)
    length = torch.linalg.vector_norm(decoder, dim=1, keepdim=True)
    return noise / torch.linalg.vector_norm(noise, dim=1, keepdim=True) * length


def shuffled(
    features: Float[torch.Tensor, "b n"], seed: int = 0, index: int = 0
) -> Float[torch.Tensor, "b n"]:
    """A control for co-firing: all rows in another order, so that densities and the code of a row
    stay. `index` per batch."""
    order = rng.permutation(np.array([seed]), "splitting.rows", index, len(features))[0]
    return features[torch.from_numpy(order).to(features.device)]
