"""One pass of a model over windows of text: where features are on, and to first order what each
firing is worth to the loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.measuring.positions import outlier_limit, select_positions
from assay.dictionaries.measuring.sums import switched_on
from assay.features.loss_gradient import loss_gradient
from assay.features.parts import of_one_unit
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site

CELLS = 2**26
"""Activations of features held at once: rows are encoded so many at a time that they are no
more."""
CHUNK = 16_384
"""Firings whose directions are held at once."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a dictionary reads and writes in a model, and which tokens count."""

    subject: Pretrained
    dictionary: Dictionary
    """One dictionary, on the model's device."""
    reads: Site
    writes: Site
    limits: tuple[float, float]
    """Lengths of activations above which a token does not count, where the dictionary reads and
    where it writes."""
    skip_first: int
    neurons: Site | None = None
    """Where neurons are read beside; None: nowhere."""


@dataclass(frozen=True, eq=False)
class Windows:
    """What one pass over some windows found; rows count from their start."""

    feature: Int[np.ndarray, "n"]
    row: Int[np.ndarray, "n"]
    value: Float[np.ndarray, "n"]
    effect: Float[np.ndarray, "n"] | None
    """Rise of the loss of all later tokens, in nats and to first order, if the firing were taken
    out."""
    kept: Bool[np.ndarray, "w s"]
    neurons: Float[np.ndarray, "r m"] | None
    """At the kept rows."""
    sums: dict[str, float]
    """`loss` and `predictions`; `rows`, `error` and `square`, sums over kept rows and dimensions;
    `sum` is apart."""
    total: Float[np.ndarray, "d"]
    """Σ of the activations over kept rows."""


def limits(
    subject: Pretrained,
    reads: Site,
    writes: Site,
    tokens: Int[np.ndarray, "w s"],
    skip_first: int,
    outlier: float,
) -> tuple[float, float]:
    """Lengths above which an activation is an outlier at both sites: `outlier` medians of these
    windows. Raises: DataError."""
    trace = subject.run(
        torch.from_numpy(tokens.astype(np.int64)), capture=list({reads, writes}), logits=False
    )
    bounds = []
    for site in (reads, writes):
        x = trace.acts[site].flatten(2).float()[:, skip_first:]
        if not bool(x.isfinite().all()):
            raise DataError(
                f"the model's activations at {site} are not finite; try --dtype float32"
            )
        bounds.append(outlier_limit(x, outlier))
    return bounds[0], bounds[1]


def read(place: Place, tokens: Int[np.ndarray, "w s"], *, gradients: bool) -> Windows:
    """Run the model on windows, and with `gradients` back again; without, the run ends at the last
    site that is read.

    Formula: effect = −a_k(t) d_k · ∂(Σ CE)/∂x_t, x the activations where the dictionary writes
    Source: attribution patching, Nanda 2023

    Raises: DataError for features that are not finite.
    """
    subject, dictionary = place.subject, place.dictionary
    sites = [site for site in {place.reads, place.writes, place.neurons} if site is not None]
    ids = torch.from_numpy(tokens.astype(np.int64)).to(subject.device)
    leaf: list[torch.Tensor] = []

    def watched(x: torch.Tensor) -> torch.Tensor:
        leaf.append(x.detach().clone().requires_grad_())
        return leaf[0]

    with nullcontext() if gradients else torch.no_grad():
        trace = subject.run(
            ids,
            capture=sites,
            logits=gradients,
            edits={place.writes: watched} if gradients else {},
            gradients=gradients,
        )
    inputs, acts = (
        trace.acts[site].detach().flatten(2).float() for site in (place.reads, place.writes)
    )
    keep = select_positions(inputs, acts, place.limits, place.skip_first)
    sums, slope = {}, None
    if gradients:
        upstream, loss = loss_gradient(trace)
        assert trace.final is not None
        slope = torch.autograd.grad(trace.final, leaf[0], upstream)[0].flatten(2).float()[keep]
        sums = {"loss": loss, "predictions": float(ids[:, 1:].numel())}
    x, y, rows = inputs[keep], acts[keep], keep.flatten().nonzero()[:, 0]
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    effects: list[torch.Tensor] = []
    error = 0.0
    for a, codes in _codes(dictionary, x):
        row, feature = codes.nonzero(as_tuple=True)
        value = codes[row, feature]
        error += float(
            (y[a : a + len(codes)] - dictionary.decode(codes[None], x[a : a + len(codes)])[0])
            .double()
            .square()
            .sum()
        )
        parts.append((feature, row + a, value))
        if slope is not None:
            effects.append(_effect(dictionary, feature, row + a, value, x, slope))
    feature, row, value = (torch.cat([part[i] for part in parts]) for i in range(3))
    if not bool(value.isfinite().all()):
        raise DataError(
            "the dictionary gives numbers that are not finite on this model's activations; is "
            "the site right?"
        )
    effect = torch.cat(effects).cpu().numpy() if gradients else None
    neurons = (
        None
        if place.neurons is None
        else trace.acts[place.neurons].detach().flatten(2).float()[keep].cpu().numpy()
    )
    sums |= {"rows": float(len(x)), "error": error, "square": float(y.double().square().sum())}
    return Windows(
        feature.cpu().numpy(),
        rows[row].cpu().numpy(),
        value.float().cpu().numpy(),
        effect,
        keep.cpu().numpy(),
        neurons,
        sums,
        y.double().sum(0).cpu().numpy(),
    )


def _codes(
    dictionary: Dictionary, x: Float[torch.Tensor, "b d_in"]
) -> Iterator[tuple[int, Float[torch.Tensor, "c f"]]]:
    """Activations of rows, some at a time, each with the number of its first row."""
    size = max(1, CELLS // dictionary.width)
    for a in range(0, max(1, len(x)), size):
        codes = dictionary.encode(x[a : a + size])[0]
        yield a, codes * switched_on(dictionary, codes)


def _effect(
    dictionary: Dictionary,
    feature: Int[torch.Tensor, "n"],
    row: Int[torch.Tensor, "n"],
    value: Float[torch.Tensor, "n"],
    x: Float[torch.Tensor, "b d_in"],
    slope: Float[torch.Tensor, "b d"],
) -> Float[torch.Tensor, "n"]:
    out = torch.empty_like(value)
    for a in range(0, len(feature), CHUNK):
        some = slice(a, a + CHUNK)
        rows = row[some]
        out[some] = -value[some] * torch.linalg.vecdot(
            of_one_unit(dictionary, feature[some], x[rows]), slope[rows]
        )
    return out
