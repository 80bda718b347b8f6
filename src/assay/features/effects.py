"""What a feature does to the next token's logits along the direct path: its decoder row read by the
unembedding.

Nothing here re-runs later blocks: far from the output these are weak hints, and every view of them
says "direct path only".

The largest few of many numbers, row by row, without sorting them all.

What features add to a dictionary's reconstruction, in units of the raw activations.

The gradient of next-token losses by what the unembedding reads: the start of every pass back,
without all logits at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.rows import divide, per_token
from assay.subjects.subject import Trace


def direct_logits(
    decoder: Float[np.ndarray, "feature d"],
    unembedding: Float[np.ndarray, "d vocabulary"],
    norm: Float[np.ndarray, " d"] | None,
) -> Float[np.ndarray, "feature vocabulary"]:
    """Logits that one unit of each feature adds if only the final norm's weight is between; not
    centred.

    Formula: (d_k ∘ w) W_U, w the weight of the final norm (its division by the residual's size is
    left out)
    Source: callummcdougall/sae_vis, the logit tables
    Differs: sae_vis leaves out the norm's weight
    """
    rows = decoder if norm is None else decoder * norm
    return rows.astype(np.float32, copy=False) @ unembedding.astype(np.float32, copy=False)


def extremes(
    logits: Float[np.ndarray, "feature vocabulary"], count: int
) -> tuple[Int[np.ndarray, "feature sign rank"], Float[np.ndarray, "feature sign rank"]]:
    """Token ids and logits of the `count` most promoted (sign 0) and most suppressed (sign 1)
    tokens; ties by token id."""
    ids = np.stack([largest(logits, count), largest(-logits, count)], 1)
    return ids, np.take_along_axis(logits[:, None], ids, 2)


def histogram(
    logits: Float[np.ndarray, "feature vocabulary"], bins: int
) -> Int[np.ndarray, "feature bins"]:
    """Count the logits of each feature in equal bins from its least to its largest, which the last
    bin has; equal ones are in the first."""
    counts = np.empty((len(logits), bins), np.int64)
    for i, row in enumerate(logits):  # a row at a time stays in the processor's cache
        low, high = row.min(), row.max()
        scale = np.divide(bins, high - low, dtype=row.dtype) if high > low else row.dtype.type(0)
        place = ((row - low) * scale).astype(np.intp)
        counts[i] = np.bincount(np.minimum(place, bins - 1, out=place), minlength=bins)
    return counts


ACROSS = 512
"""Groups into which a row is split; each has a maximum."""


def largest(values: Float[np.ndarray, "n m"], count: int) -> Int[np.ndarray, "n count"]:
    """Return places of the `count` largest of each row, largest first, ties by place; fewer where a
    row is shorter."""
    n, m = values.shape
    count = min(count, m)
    places = np.empty((n, count), np.int64)
    if count:
        across = max(count, ACROSS)
        whole = m // across * across
        for i, row in enumerate(values):
            maxima = row[:whole].reshape(-1, across).max(0) if whole else row
            bar = np.partition(maxima, -count)[
                -count
            ]  # so many numbers reach it, so the largest do
            reach = np.flatnonzero(row >= bar)
            places[i] = reach[np.argsort(-row[reach], kind="stable")[:count]]
    return places


def directions(
    dictionary: Dictionary, features: Sequence[int] | Int[torch.Tensor, " k"]
) -> Float[torch.Tensor, "k d_out"]:
    """One unit of each of these features, but for what undoes a normalisation of each row by
    itself.

    Formula: d_k / scale_out
    """
    return _scaled(dictionary, dictionary.W_dec[0, torch.as_tensor(features)])


def added(
    dictionary: Dictionary,
    features: Sequence[int],
    codes: Float[torch.Tensor, "b k"],
    x: Float[torch.Tensor, "b d_in"],
) -> Float[torch.Tensor, "b d_out"]:
    """What these features together add to the reconstruction of each row x, their activations
    given.

    Formula: Σ_k a_k d_k / scale_out, times what undoes a normalisation of each row by itself
    """
    return _back(dictionary, _scaled(dictionary, codes @ dictionary.W_dec[0, list(features)]), x)


def of_one_unit(
    dictionary: Dictionary, feature: Int[torch.Tensor, " n"], x: Float[torch.Tensor, "n d_in"]
) -> Float[torch.Tensor, "n d_out"]:
    """What one unit of one feature adds to the reconstruction of each row x: a feature for every
    row.

    Formula: d_k / scale_out, times what undoes a normalisation of each row by itself
    """
    return _back(dictionary, directions(dictionary, feature), x)


def _scaled(
    dictionary: Dictionary, out: Float[torch.Tensor, "b d_out"]
) -> Float[torch.Tensor, "b d_out"]:
    scale = dictionary.scale if dictionary.scale_out is None else dictionary.scale_out
    return out if scale is None else divide(out[None], scale)[0]


def _back(
    dictionary: Dictionary, out: Float[torch.Tensor, "b d_out"], x: Float[torch.Tensor, "b d_in"]
) -> Float[torch.Tensor, "b d_out"]:
    return out * per_token(x[None], dictionary.per_token)[2][0] if dictionary.per_token else out


ROWS = 128
"""Rows of logits held at a time."""


def loss_gradient(
    trace: Trace, positions: Int[torch.Tensor, " m"] | None = None
) -> tuple[Float[torch.Tensor, "w s d"], float]:
    """Differentiate the sum of the losses predicted at these positions of every window, and tell
    that sum in nats.

    None: at every position that has a next token. Elsewhere the gradient is 0.
    """
    assert trace.final is not None and trace.head is not None
    final, target = trace.final.detach(), trace.tokens.flatten()
    windows, length = trace.tokens.shape
    device = final.device
    positions = (
        torch.arange(length - 1, device=device) if positions is None else positions.to(device)
    )
    places = (length * torch.arange(windows, device=device)[:, None] + positions).flatten()
    out, total = torch.zeros_like(final, memory_format=torch.contiguous_format), 0.0
    flat, rows = out.flatten(0, 1), final.flatten(0, 1)
    for chunk in places.split(ROWS):
        with torch.enable_grad():
            leaf = rows[chunk].requires_grad_()
            loss = torch.nn.functional.cross_entropy(
                trace.head(leaf).float(), target[chunk + 1], reduction="sum"
            )
        flat[chunk] = torch.autograd.grad(loss, leaf)[0]
        total += float(loss.detach())
    return out, total
