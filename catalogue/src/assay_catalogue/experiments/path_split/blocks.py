"""By which path parts of every block's update act on the logits: sums per document, for all blocks
of a model on disk."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from assay.core.heavy import torch
from assay.subjects.pretrained import Pretrained
from assay.subjects.site import Site
from assay.train.rng import normal
from assay_catalogue.analysis.readout import readout
from assay_catalogue.subjects.path_probes import NORMS, probe

AT_ONCE = 4
"""Windows in one pass: what a pass back needs is kept for all blocks."""
OUTLIER = 6.0
"""Updates longer than so many medians of their block are left out, as harvests leave them out, and
so is position 0."""
TURNS = {"turned": 0.5, "slightly": 0.4}
"""How much of the angle towards what the final norm reads a part is turned."""
KINDS = ("principal", "random", *TURNS)
"""The parts: along the strongest principal directions; of the same lengths along random ones; the
first, turned."""


def block_sums(
    model: Pretrained,
    tokens: Int[np.ndarray, "w s"],
    document: Int[np.ndarray, "w"],
    directions: int,
    seed: int,
    kinds: int = len(KINDS),
) -> dict[str, tuple[str, Float[np.ndarray, "..."], str]]:
    """Sums over the tokens of each document of squared effects by path, `direct`, `indirect` and
    `total`, [kind norm block document], of the first `kinds` of `KINDS`.

    Parts of an update are its components along principal directions of its block, about the mean.
    Effects are linear in them, measured by one random pull at every token. Units: squared logits.
    """
    layers, windows = range(model.layers), torch.from_numpy(tokens.astype(np.int64))
    updates = model.run(windows, capture=[Site("mlp_out", n) for n in layers], logits=False).acts
    read, documents = readout(model, model.layers - 1), int(document.max()) + 1
    centred, axes, keep = [], [], []
    for n in layers:
        o = updates.pop(Site("mlp_out", n)).float().cpu()  # where the readout is
        length = o.norm(dim=-1)
        usable = length <= OUTLIER * length[:, 1:].median()
        usable[:, 0] = False
        o = o - o[usable].mean(0)
        _, analysis = torch.linalg.eigh((o[usable].T @ o[usable]).double())
        centred.append(o)
        axes.append(analysis[:, -directions:].float().T)
        keep.append(usable)
    random_directions = [
        torch.nn.functional.normalize(
            torch.from_numpy(
                normal(np.array([seed]), "path-split.directions", n, tuple(axes[n].shape))[0]
            ),
            dim=-1,
        )
        for n in layers
    ]
    sums = np.zeros((3, kinds, len(NORMS), len(layers), documents))
    for i in range(0, len(windows), AT_ONCE):
        some = slice(i, i + AT_ONCE)
        analysis = probe(model, windows[some], layers, read, seed, i)
        stream_directions = torch.nn.functional.normalize(read.project(analysis.stream), dim=-1)
        for n in layers:
            size = (centred[n][some] @ axes[n].T) * keep[n][some][..., None]
            for j, norm in enumerate(NORMS):
                pulls = (
                    analysis.direct[norm],
                    analysis.total[norm][n] - analysis.direct[norm],
                    analysis.total[norm][n],
                )
                for path, g in enumerate(pulls):
                    parts = _pulled(g, axes[n], random_directions[n], stream_directions, size)
                    for kind, pulled in enumerate(parts[:kinds]):
                        np.add.at(
                            sums[path, kind, j, n],
                            document[some],
                            (size * pulled).double().square().sum((1, 2)).numpy(),
                        )
    return {
        name: ("kind norm block document", x, "squared logit")
        for name, x in zip(("direct", "indirect", "total"), sums, strict=True)
    }


def _pulled(
    g: torch.Tensor,
    axes: torch.Tensor,
    random_directions: torch.Tensor,
    stream_directions: torch.Tensor,
    size: torch.Tensor,
) -> tuple[torch.Tensor, ...]:
    """What pulls g do to unit parts of each kind, [w s direction]; a turned part keeps its
    length."""
    on_axis, on_stream = g @ axes.T, torch.linalg.vecdot(g, stream_directions)[..., None]
    sign = size.sign()
    angle = (sign * (stream_directions @ axes.T)).acos()
    turned = (
        (((1 - t) * angle).sin() * sign * on_axis + (t * angle).sin() * on_stream) / angle.sin()
        for t in TURNS.values()
    )
    return on_axis, g @ random_directions.T, *turned
