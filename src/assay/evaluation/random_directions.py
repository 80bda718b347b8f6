"""A dictionary of random directions, each on as often as a feature of another dictionary on the
same text: what a rating compares with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float

from assay.core import rng
from assay.core.heavy import torch
from assay.core.spec import Spec
from assay.data.corpus import Corpus
from assay.dictionaries.dictionary import Dictionary
from assay.dictionaries.jump import JumpReLU
from assay.dictionaries.measuring.positions import select_positions
from assay.evaluation.indexing import LIMIT_WINDOWS, IndexPlaceSpec
from assay.evaluation.text import windows
from assay.features.index import passes
from assay.lab.store import Store
from assay.subjects.folder import ModelFolder
from assay.subjects.pretrained import DType, load
from assay.subjects.site import Site

FILE = "random.safetensors"
WINDOWS = 16
"""Windows that the model reads at once."""


@dataclass(frozen=True, kw_only=True)
class RandomDirectionsSpec(Spec):
    """As many directions as numbers of firings, at the place of an index, on its first windows."""

    of: IndexPlaceSpec
    windows: int
    firings: tuple[int, ...]


def random_directions(
    store: Store,
    spec: RandomDirectionsSpec,
    folder: ModelFolder,
    corpus: Corpus,
    device: str = "cpu",
) -> Path:
    """Make the dictionary, or find it in the store. Directions are drawn evenly from the sphere by
    the spec's seed.

    Formula: f_j = p_j · 1[p_j > θ_j] with p_j = ⟨u_j, x − x̄⟩, x̄ the mean of the text's
    activations, and θ_j halfway between the n_j-th largest p_j of the text and the next one, at
    least 0"""

    def build(path: Path) -> None:
        x = _activations(spec, folder, corpus, device)
        mean = x.mean(0)
        draw = rng.generator(spec.seed, "rating/directions").standard_normal(
            (len(spec.firings), x.shape[1])
        )
        directions = torch.from_numpy(
            (draw / np.linalg.norm(draw, axis=1, keepdims=True)).astype(np.float32)
        ).to(x.device)
        threshold = []
        for direction, n in zip(directions, spec.firings, strict=True):
            largest = ((x - mean) @ direction).topk(min(n + 1, len(x))).values
            threshold.append(max(0.0, float(largest[-2:].mean())))
        Dictionary(
            W_enc=directions.T[None].cpu().contiguous(),
            b_enc=-(directions @ mean)[None].cpu(),
            W_dec=directions[None].cpu(),
            b_dec=mean[None].cpu(),
            b_pre=torch.zeros_like(mean)[None].cpu(),
            nonlinearity=JumpReLU(),
            own={"threshold": torch.tensor([threshold])},
            sites=(spec.of.site,),
            origin={"made": "random directions", "firings": list(spec.firings)},
        ).save(path / FILE)

    return store.artefact(spec, build) / FILE


def _activations(
    spec: RandomDirectionsSpec, folder: ModelFolder, corpus: Corpus, device: str
) -> Float[torch.Tensor, "b d"]:
    """The activations that count, where the index read them."""
    subject, site = (
        load(folder.name, device, cast("DType", spec.of.dtype)),
        Site.parse(spec.of.site),
    )
    tokens = windows(corpus, folder, spec.of.of, spec.windows).tokens.astype(np.int64)
    limits = passes.limits(
        subject, site, site, tokens[:LIMIT_WINDOWS], spec.of.skip_first, spec.of.outlier
    )
    rows = []
    for some in torch.from_numpy(tokens).split(WINDOWS):
        trace = subject.run(some.to(subject.device), capture=[site], logits=False)
        acts = trace.acts[site].flatten(2).float()
        rows.append(acts[select_positions(acts, acts, limits, spec.of.skip_first)])
    return torch.cat(rows)
