"""What the dictionaries of path-split are trained on and tested with: a small model's first MLP, or
features of known paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.data.harvest import Harvest
from assay.subjects.pretrained import Pretrained, load
from assay.subjects.site import Site
from assay.train.rng import normal, uniform
from assay_catalogue.analysis.readout import Readout, readout
from assay_catalogue.subjects.path_probes import Metrics, ablated, metrics, probe

BLOCK = 0
"""The block of a small model whose MLP's update is decomposed."""
DRAWS = 2
"""Draws of the pulls by which effects are measured on test text."""
PLANTED, DENSITY, DOCUMENTS, LENGTH = 128, 0.06, 24, 256
"""Features that are planted, how often each is on; documents of the planted test, and the rows of
each."""

TakeOut: TypeAlias = (
    "Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float, int, bool], dict[str, np.ndarray]]"
)


@dataclass(frozen=True, eq=False)
class Material:
    """Rows to train on, held-out rows, and by which path what is written there acts."""

    batches: Callable[[int], Float[torch.Tensor, "b d"]]
    """Normalised training rows as a function of the step."""
    mean: Float[np.ndarray, "d"]
    scale: float
    covariance: Float[torch.Tensor, "d d"]
    """Second moments of normalised training rows."""
    metrics: Metrics
    """Mean squared effects of directions, on training text: what features pay in."""
    test: Float[torch.Tensor, "b d"]
    """Normalised held-out rows."""
    document: Int[torch.Tensor, "b"]
    documents: list[str]
    pulls: list[Mapping[str, Float[torch.Tensor, "b d"]]]
    """For each draw, pulls by path at every held-out row: (g·v)² is on average the squared effect
    of v by that path."""
    take_out: TakeOut | None = field(default=None, repr=False)
    """(features, rows, half, strength, firings of each document and half, whether turned aside) →
    squared effects of taking them out, for models."""

    @property
    def d(self) -> int:
        """Numbers per token."""
        return len(self.mean)


@lru_cache(
    maxsize=8
)  # all arms of a seed ask for the same, and a harvest is one object in a process
def of_harvests(
    data: Harvest, test: Harvest, metric_windows: int, batch: int, seed: int
) -> Material:
    """The update of a small model's first MLP, harvested on its corpus; effects are those of later
    blocks and the unembedding."""
    model = load(data.spec.subject)
    read = readout(model, BLOCK)
    some = torch.from_numpy(data.tokens[:metric_windows].astype(np.int64))
    row_ids, tokens = torch.from_numpy(test.kept), torch.from_numpy(test.tokens.astype(np.int64))
    files, document = np.unique(test.document[test.kept], return_inverse=True)
    pulls = []
    for draw in range(DRAWS):
        response = probe(model, tokens, [BLOCK], read, seed, 10**8 + draw, ("frozen",))
        direct, total = (
            g.flatten(0, 1)[row_ids]
            for g in (response.direct["frozen"], response.total["frozen"][0])
        )
        pulls.append({"direct": direct, "indirect": total - direct})
    x = data.rows(data.kept[:: max(1, len(data.kept) // 8192)])
    materials = Material(
        batches=data.batches(np.array([seed]), batch),
        mean=data.mean,
        scale=data.scale,
        covariance=x.T @ x / len(x),
        metrics=metrics(model, some, BLOCK, read, seed),
        test=test.rows(test.kept),
        document=torch.from_numpy(document),
        documents=[test.files[f] for f in files],
        pulls=pulls,
    )
    return replace(
        materials,
        take_out=lambda *arguments: _taken_out(
            model, read, tokens, test.kept, materials, seed, *arguments
        ),
    )


def _taken_out(
    model: Pretrained,
    read: Readout,
    tokens: torch.Tensor,
    row_ids: np.ndarray,
    materials: Material,
    seed: int,
    features: Float[torch.Tensor, "b f"],
    rows: Float[torch.Tensor, "f d"],
    half: Int[torch.Tensor, "f"],
    strength: float,
    count: int,
    turned: bool,
) -> dict[str, Float[np.ndarray, "document half"]]:
    """Estimates the sums of squared effects of every document and half by taking firings out, drawn
    in proportion to their square; turned ones half-way towards what the final norm reads there.

    Formula: Σ f² · mean over draws of effect² / (strength · f)²
    """
    sites = [Site("resid_post", n) for n in (BLOCK, model.layers - 1)]
    acts = model.run(tokens, capture=sites, logits=False).acts
    last, final = (acts[site].float() for site in sites)
    square, n, s = features.square().double().numpy(), len(materials.documents), tokens.shape[1]
    draws: list[tuple[int, int, int, int, float]] = []
    for document in range(n):
        document_rows = np.flatnonzero(materials.document.numpy() == document)
        for side in (0, 1):
            mass = square[document_rows][:, half.numpy() == side]
            total = mass.sum()
            if not total > 0:
                continue
            u = uniform(np.array([seed]), f"path-split.taken.{side}", document, (count,))[0] * total
            which = np.minimum(np.searchsorted(mass.cumsum(), u), mass.size - 1)
            token, feature = np.divmod(which, mass.shape[1])
            numbers = np.flatnonzero(half.numpy() == side)[feature]
            draws += [
                (document, side, document_rows[t], f, total / count)
                for t, f in zip(token, numbers, strict=True)
            ]
    names = ("direct", "indirect", "exact_direct", "exact_indirect")
    out = {f"taken_{name}": np.zeros((n, 2)) for name in names}
    for i in range(0, len(draws), 64):
        documents, sides, row_index, feature, weight = (
            np.array(column) for column in zip(*draws[i : i + 64], strict=True)
        )
        window, position = np.divmod(row_ids[row_index], s)
        f = features[row_index, feature][:, None] * strength
        part = f * rows[feature]
        if turned:
            part = aside(part, read.project(final[window, position]))
        response = ablated(
            model, BLOCK, tokens[window], last[window], part, torch.from_numpy(position), read
        )
        for name in names:
            effect = getattr(response, name).double().numpy() / f[:, 0].double().numpy() ** 2
            np.add.at(out[f"taken_{name}"], (documents, sides), weight * effect)
    return out


def planted(seed: int, d: int, batch: int) -> Material:
    """Sparse features whose path is known: each direction lies in one half of the space, and the
    halves act by one path only."""
    seeds, half = np.array([seed]), d // 2
    Q, _ = torch.linalg.qr(torch.from_numpy(normal(seeds, "path-split.space", 0, (d, d))[0]))
    axes = Q[:, :half], Q[:, half:]
    rows = torch.cat(
        [
            unit(
                torch.from_numpy(normal(seeds, "path-split.rows", i, (PLANTED // 2, a.shape[1]))[0])
                @ a.T
            )
            for i, a in enumerate(axes)
        ]
    )

    def codes(stream: str, index: int, count: int) -> torch.Tensor:
        v = torch.from_numpy(uniform(seeds, f"path-split.{stream}", index, (count, PLANTED))[0])
        return torch.where(v < DENSITY, v / DENSITY, torch.zeros(()))

    first = codes("mean", 0, 8192) @ rows
    mean = first.mean(0)
    scale = float((d / (first - mean).square().sum(1).mean()).sqrt())
    centred = (first - mean) * scale
    test = (codes("test", 0, DOCUMENTS * LENGTH) @ rows - mean) * scale
    pulls = []
    for draw in range(DRAWS):
        u = torch.from_numpy(normal(seeds, "path-split.pulls", draw, (len(test), d))[0])
        pulls.append(
            {path: u @ a @ a.T for path, a in zip(("direct", "indirect"), axes, strict=True)}
        )
    return Material(
        batches=lambda step: (codes("train", step, batch) @ rows - mean) * scale,
        mean=mean.numpy(),
        scale=scale,
        covariance=centred.T @ centred / len(centred),
        metrics=Metrics(axes[0] @ axes[0].T, axes[1] @ axes[1].T),
        test=test,
        document=torch.arange(DOCUMENTS).repeat_interleave(LENGTH),
        documents=[f"document {i:02}" for i in range(DOCUMENTS)],
        pulls=pulls,
    )


def unit(rows: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, "n d"]:
    """Rows at length 1."""
    return rows / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)


def aside(
    part: Float[torch.Tensor, "n d"], towards: Float[torch.Tensor, "n d"]
) -> Float[torch.Tensor, "n d"]:
    """Parts turned half-way towards other vectors, as long as they were."""
    length = torch.linalg.vector_norm(part, dim=-1, keepdim=True)
    return unit(unit(part) + unit(towards)) * length
