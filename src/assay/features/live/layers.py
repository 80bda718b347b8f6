"""Layers: firings of several dictionaries of one model on one prompt; what taking out each really
does to a prediction and to the firings of later layers, beside random directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from assay.core import rng
from assay.core.heavy import torch
from assay.features.live.attribution import attribute
from assay.features.live.reader import Firings, Reader, Reading

COUNT, LEAST = 5, 0.1
"""Firings of each layer, those that matter most to first order; and the share of a later firing
that has to go with an earlier one for a link."""


@dataclass(frozen=True)
class Node:
    """A firing of one layer's dictionary. `effect` is the rise of the prediction's loss without it,
    nats; `beyond`: larger than that of every random direction of this layer."""

    layer: int
    feature: int
    position: int
    activation: float
    effect: float
    beyond: bool


@dataclass(frozen=True)
class Link:
    """By which share of its activation a later firing, by its place among the nodes, falls without
    an earlier one; below 0 it rises."""

    source: int
    target: int
    share: float


@dataclass(frozen=True)
class Layers:
    """The graph of a prompt."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    chance: tuple[float, ...]
    """The largest effect of a random direction, layer by layer, nats."""
    loss: float
    """Of the prediction as it is, nats."""


def trace_layers(
    readers: Sequence[Reader], ids: Sequence[int], next_id: int, count: int = COUNT, seed: int = 0
) -> Layers:
    """Take out the firings that carried the prediction of `next_id` after these tokens, one at a
    time, and read all later layers again.

    Readers stand in the order of their layers. Controls are as many random directions of the same
    lengths, drawn by the seed and taken out at the same places. A link is kept where its share is
    at least `LEAST` and larger than that of every control of its source's layer. One pass of the
    model over twice `count` copies of the prompt for each layer.

    Raises: as `Reader.read_ids`.
    """
    readings = [reader.read_ids(ids, next_id) for reader in readers]
    position = len(ids) - 1
    chosen = []
    for reader, reading in zip(readers, readings, strict=True):
        first = attribute(reader, reading, position)
        top = first.top(count)
        chosen.append(first.firings[top[first.value[top] != 0]])
    starts = np.cumsum([0, *map(len, chosen)])
    nodes, links, chance = [], [], []
    for i, (reading, firings) in enumerate(zip(readings, chosen, strict=True)):
        n = len(firings)
        effects, shares = _taken_out(readers[i:], reading, firings, chosen[i + 1 :], position, seed)
        chance.append(float(np.abs(effects[n:]).max(initial=0.0)))
        nodes += [
            Node(
                i,
                int(firings.feature[k]),
                int(firings.position[k]),
                float(firings.value[k]),
                float(effects[k]),
                abs(float(effects[k])) > chance[-1],
            )
            for k in range(n)
        ]
        bar = np.maximum(LEAST, np.abs(shares[n:]).max(0, initial=0.0))
        links += [
            Link(int(starts[i] + k), int(starts[i + 1] + m), float(shares[k, m]))
            for k, m in np.argwhere(np.abs(shares[:n]) > bar)
        ]
    return Layers(tuple(nodes), tuple(links), tuple(chance), float(readings[0].loss[position]))


def _taken_out(
    readers: Sequence[Reader],
    reading: Reading,
    firings: Firings,
    later: Sequence[Firings],
    position: int,
    seed: int,
) -> tuple[Float[np.ndarray, " two_n"], Float[np.ndarray, "two_n later"]]:
    """Rise of the loss, and lost shares of later firings, without each firing; then without each
    control."""
    reader, n = readers[0], len(firings)
    total = sum(map(len, later))
    if not n:
        return np.zeros(0), np.zeros((0, total))
    parts = reader.parts(reading, firings)
    drawn = rng.normal(np.array([seed]), "layers.controls", len(readers), tuple(parts.shape))[0]
    random = torch.from_numpy(np.asarray(drawn)).to(parts)
    random *= parts.norm(dim=1, keepdim=True) / random.norm(dim=1, keepdim=True)
    removed, rows = torch.cat([parts, random]), torch.arange(2 * n)
    places = torch.from_numpy(np.tile(firings.position, 2))

    def edit(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[rows, places] -= removed.to(x)
        return x

    tokens = torch.tensor([list(reading.ids)] * (2 * n), device=reader.subject.device)
    trace = reader.subject.run(
        tokens, capture=[r.reads for r in readers[1:]], edits={reader.target: edit}
    )
    effects = trace.loss()[:, position].double().cpu().numpy() - reading.loss[position]
    columns = []
    for other, theirs in zip(readers[1:], later, strict=True):
        for p, k, value in zip(theirs.position, theirs.feature, theirs.value, strict=True):
            codes = other.dictionary.encode(trace.acts[other.reads][:, int(p)])[0, :, int(k)]
            columns.append(1 - codes.double().cpu().numpy() / float(value))
    return effects, np.stack(columns, 1) if columns else np.zeros((2 * n, 0))
