"""One metric for dictionaries of different targets: their errors and features in the stream and in
logits, and how alike they are."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.sums import by_document
from assay.train.rng import normal
from assay_catalogue.analysis.readout import Readout
from assay_catalogue.data.targets import Target, Targets
from assay_catalogue.dictionaries.cells import Batch, Cell

SPACES = ("act", "update", "logit")
"""Where errors are told: the MLP's activations, the stream, the logits."""

EPS = np.geomspace(1e-3, 1e2, 41)
"""Edges of the bins in which relative errors are counted."""


def errors(
    makes: Target,
    error: Float[torch.Tensor, "b d"],
    readout: Readout,
    x: Float[torch.Tensor, "b d"],
) -> dict[str, Float[torch.Tensor, "b d"]]:
    """A reconstruction's raw error in every space that it has one in: act, update (the stream),
    logit.

    The error of activations is pushed through W_out; one of the stream is taken to logits with the
    divisor of the stream x itself. What a logit dictionary gets wrong has no image in the stream,
    as logits do not see all of it."""
    out: dict[str, torch.Tensor] = {makes: error}
    if makes == "act":
        out["update"] = error @ readout.W_out
    elif makes in ("post", "update"):
        out = {"update": error}  # the stream's error is the update's: what came before is known
    elif makes != "logit":
        raise DataError(f"errors are told for act, update, post and logit, got {makes!r}")
    if makes != "logit":
        out["logit"] = readout.frozen(out["update"], x)
    return out


def logit_rows(
    makes: Target, W_dec: Float[torch.Tensor, "f d"], readout: Readout
) -> Float[torch.Tensor, "f d"]:
    """Unit directions of decoder rows in logit coordinates: what each feature does to the logits,
    whatever it was trained on."""
    if makes == "act":
        W_dec = W_dec @ readout.W_out
    if makes != "logit":
        W_dec = readout.project(W_dec) @ readout.L
    return torch.nn.functional.normalize(W_dec, dim=-1)


def agreement(
    a: Float[torch.Tensor, "f d"], b: Float[torch.Tensor, "g d"], weight: Float[torch.Tensor, " f"]
) -> float:
    """How well the unit rows of one dictionary are found among another's.

    Formula: weighted mean over rows of a of the largest |cosine| with a row of b
    Range: 0 to 1; what chance gives is far above 0 and depends on b's spread: see `like_rows`
    Better: neither
    """
    best = (a @ b.T).abs().amax(1)
    return float((best * weight).sum() / weight.sum())


def like_rows(
    b: Float[torch.Tensor, "f d"], seed: int, index: int = 0
) -> Float[torch.Tensor, "f d"]:
    """Draw as many random unit rows, spread as b's are: Gaussian with their second moments, then
    normalised."""
    f, d = b.shape
    # Rows may lie in a subspace: a LayerNorm's mean is never there. On the CPU, since each device
    # has axes in directions of its own, and with them other rows.
    values, axes = (x.to(b.device) for x in torch.linalg.eigh((b.T @ b / f).double().cpu()))
    noise = torch.from_numpy(normal(np.array([seed]), "cells.like", index, (f, d))[0]).to(b.device)
    return torch.nn.functional.normalize(
        noise * values.clamp_min(0).sqrt().float() @ axes.T.float(), dim=-1
    )


# --- sums per document ----------------------------------------------------------------------------


def variances(
    raw: Batch, data: Targets, document: Int[torch.Tensor, " b"], documents: int
) -> dict[str, Float[np.ndarray, " document"]]:
    """Per space, Σ ‖a − mean‖² over the tokens of each document; the mean is the training
    part's."""
    return {
        name: by_document(
            (raw[name] - raw[name].new_tensor(data.mean(name)))  # type: ignore[arg-type]
            .square()
            .sum(1),
            document,
            documents,
        )
        for name in SPACES
    }


def cell_sums(
    cell: Cell,
    dictionary: Dictionary,
    raw: Batch,
    readout: Readout,
    document: Int[torch.Tensor, " b"],
    documents: int,
) -> dict[str, Float[np.ndarray, " document"]]:
    """Sums over the tokens of each document: features that are on, and squared errors per space,
    NaN where it has none."""
    features = dictionary.encode(raw[cell.reads])
    off = errors(cell.makes, dictionary.decode(features) - raw[cell.makes], readout, raw["post"])
    out = {"active": by_document((features > 0).sum(1), document, documents)}
    for space in SPACES:
        missing = np.full(documents, np.nan)
        out[f"error_{space}"] = (
            by_document(off[space].square().sum(1), document, documents)
            if space in off
            else missing
        )
    return out


def spent(
    features: Float[torch.Tensor, "b f"],
    W_dec: Float[torch.Tensor, "f m"],
    null: Float[torch.Tensor, "m m"],
    document: Int[torch.Tensor, " b"],
    documents: int,
) -> dict[str, Float[np.ndarray, " document"]]:
    """What a dictionary of activations spends on what nothing reads: sums over the tokens of each
    document.

    Formula: `unread` Σ_i f_i² ‖N d_i‖², `written` Σ_i f_i² ‖d_i‖²
    """
    square = features.square()
    parts = {"unread": (W_dec @ null).square().sum(1), "written": W_dec.square().sum(1)}
    return {
        name: by_document(square @ weight, document, documents) for name, weight in parts.items()
    }


def linear_errors(
    parts: Float[torch.Tensor, "n d"], x: Float[torch.Tensor, "n d"], readout: Readout
) -> dict[str, Float[torch.Tensor, " n"]]:
    """Relative errors ε of the frozen and the Jacobian version of each part's effect on the
    logits."""
    effects = readout.effects(parts, x)
    return {"frozen": effects.error(effects.frozen), "jacobian": effects.error(effects.jacobian)}


def binned(
    values: Float[torch.Tensor, " n"], document: Int[torch.Tensor, " n"], documents: int
) -> Float[np.ndarray, "document bin"]:
    """How many values of each document lie in each bin of `EPS`; what lies beyond counts in the
    outermost, NaN nowhere."""
    values, document = values.cpu(), document.cpu()
    known = ~values.isnan()
    bins = np.clip(np.searchsorted(EPS, values[known].numpy()) - 1, 0, len(EPS) - 2)
    out = np.zeros((documents, len(EPS) - 1))
    np.add.at(out, (document[known].numpy(), bins), 1)
    return out


def binned_median(counts: Float[np.ndarray, "draw bin"]) -> Float[np.ndarray, " draw"]:
    """The median of what `binned` counted, straight between a bin's edges in the logarithm."""
    share = np.cumsum(counts, 1) / counts.sum(1, keepdims=True)
    bin_index = (share < 0.5).sum(1)
    below = np.where(
        bin_index > 0,
        np.take_along_axis(share, np.maximum(bin_index - 1, 0)[:, None], 1)[:, 0],
        0.0,
    )
    inside = (0.5 - below) / (np.take_along_axis(share, bin_index[:, None], 1)[:, 0] - below)
    low, high = (np.log(np.take_along_axis(EPS, i, 0)) for i in (bin_index, bin_index + 1))
    return np.exp(low + inside * (high - low))
