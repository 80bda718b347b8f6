"""Circuits of a decoder: a few nodes are kept, every other one gives its mean, and what is left of
the model's predictions is measured.

Nodes are the coordinates of what enters the first block, attention heads, and neurons; the
unembedding, norms and biases stay. From the whole model nodes are dropped a quarter at a time,
those without which predictions change least to first order, until so few are left.

Source: Gao et al. 2025 (arXiv 2511.13653): every node outside of a circuit is ablated to its mean.
There masks are learned for one task at a time, coordinates of the stream are nodes at every place
where it is read or written, and what is counted is edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.heavy import torch
from assay.subjects.decoder import Activation, Edit, Params, forward
from assay.train import rng

STREAM, HEAD, NEURON = range(3)
"""Kinds of nodes, in the order in which those of one block stand."""
HELD = 0.75
"""Share of the nodes that one round of pruning leaves."""
ALONG = 0.5
"""How far all kept nodes are between their means and what they are, where first-order costs are
taken: half way tells a removal better than the whole model does."""
SCALE = "hook_scale"
Hook = tuple[str, int]
"""A hook's name, and its block."""


def kinds(params: Params) -> Int[np.ndarray, " node"]:
    """The kind of each node: the coordinates of the stream, then block by block its heads and its
    neurons."""
    layers, heads, neurons = _sizes(params)
    block = [HEAD] * heads + [NEURON] * neurons
    return np.array([STREAM] * params["W_E"].shape[-1] + block * layers)


@dataclass(frozen=True, eq=False)
class Reading:
    """A text as a whole model reads it: what its nodes give on average, what its norms divide by at
    each token, what it predicts, and the entropy of that."""

    tokens: Int[torch.Tensor, "b s"] | Int[torch.Tensor, "run b s"]
    means: Mapping[Hook, torch.Tensor]
    scales: Mapping[Hook, torch.Tensor]
    predicted: Float[torch.Tensor, "run b s v"]
    entropy: Float[torch.Tensor, "run b s"]


def read(
    params: Params,
    tokens: Int[torch.Tensor, "b s"] | Int[torch.Tensor, "run b s"],
    activation: Activation,
) -> Reading:
    """Read a text with the whole model."""

    means: dict[Hook, torch.Tensor] = {}
    scales: dict[Hook, torch.Tensor] = {}

    def edit(hook: str, block: int, x: torch.Tensor) -> torch.Tensor:
        if hook.endswith(SCALE):
            scales[hook, block] = x
        else:
            means[hook, block] = x.mean(1)
        return x

    with torch.no_grad():
        logits, _ = forward(params, tokens, activation, edit)
    p = logits.softmax(-1)
    entropy = -torch.linalg.vecdot(p, logits.log_softmax(-1))
    return Reading(tokens, means, scales, p, entropy)


def divergence(
    params: Params,
    text: Reading,
    mask: Float[torch.Tensor, "run node"],
    activation: Activation,
    means: Mapping[Hook, torch.Tensor] | None = None,
) -> Float[torch.Tensor, " run"]:
    """The mean divergence KL(whole model ‖ circuit) of predictions, in nats per token, with each
    node so far from its mean as the mask says: 1 is as it is, 0 is its mean.

    Means are those of the same text, or those given. Norms divide by what they divide by in the
    whole model: else a stream of which little is left would be blown up to the length that the
    whole one has."""
    edit = _edit(params, mask, text.means if means is None else means, text.scales)
    logits, _ = forward(params, text.tokens, activation, edit)
    cross_entropy = logits.logsumexp(-1) - torch.linalg.vecdot(text.predicted, logits)
    return (cross_entropy - text.entropy).flatten(1).mean(1)


def kept_share(
    params: Params,
    text: Reading,
    masks: Bool[np.ndarray, "run size node"],
    activation: Activation,
    means: Mapping[Hook, torch.Tensor] | None = None,
) -> Float[np.ndarray, "run size"]:
    """The share of what a model does that circuits keep: 1 for the whole model, 0 with no node.

    Formula: 1 − KL(whole ‖ circuit) / KL(whole ‖ every node at its mean)"""
    none = np.zeros_like(masks[:, :1])
    with torch.no_grad():
        apart = [
            divergence(params, text, torch.from_numpy(mask).to(text.predicted), activation, means)
            for mask in np.concatenate([none, masks], 1).swapaxes(0, 1)
        ]
    far = torch.stack(apart, 1).cpu().numpy()
    return 1 - far[:, 1:] / far[:, :1]


def needed(
    kept: Float[np.ndarray, "run size"], sizes: Sequence[int], nodes: int, target: float
) -> Float[np.ndarray, " run"]:
    """The fewest nodes that keep this share, on lines over the logarithm of nodes; the least of
    these ascending sizes where that is enough. All nodes keep all."""
    x, out = np.log2([*sizes, nodes]), np.empty(len(kept))
    for run, y in enumerate(np.pad(kept, [(0, 0), (0, 1)], constant_values=1.0)):
        i = int(np.flatnonzero(y >= target)[0])
        out[run] = 2 ** np.interp(target, y[i - 1 : i + 1], x[i - 1 : i + 1]) if i else sizes[0]
    return out


def pruned(
    params: Params, text: Reading, sizes: Sequence[int], activation: Activation
) -> Bool[np.ndarray, "run size node"]:
    """Which nodes the circuits of these sizes keep, each run's own; a size beyond all nodes keeps
    all.

    A node's cost is how much further predictions would lie from the whole model's without it, to
    first order at `ALONG`; the cheapest quarter goes, and costs are taken anew."""
    runs, nodes = len(params["W_E"]), len(kinds(params))
    keep_mask = torch.ones(runs, nodes, device=params["W_E"].device)
    mask_by_size = {size: keep_mask for size in sizes if size >= nodes}
    for count in _rounds(nodes, [size for size in sizes if size < nodes]):
        mask = (keep_mask * ALONG).requires_grad_()
        (gradient,) = torch.autograd.grad(divergence(params, text, mask, activation).sum(), mask)
        order = torch.where(keep_mask > 0, -gradient, -torch.inf).argsort(
            dim=1, descending=True, stable=True
        )
        keep_mask = torch.zeros_like(keep_mask).scatter_(1, order[:, :count], 1.0)
        mask_by_size[count] = keep_mask
    return np.stack([mask_by_size[size].cpu().numpy() > 0 for size in sizes], 1)


def by_lot(
    mask: Bool[np.ndarray, "run size node"],
    kind: Int[np.ndarray, " node"],
    seeds: Int[np.ndarray, " run"],
    stream: str,
) -> np.ndarray:
    """Circuits that keep as many nodes of each kind, drawn by each run's seed."""
    out = np.empty_like(mask)
    for k in np.unique(kind):
        members = np.flatnonzero(kind == k)
        order = rng.permutation(seeds, f"{stream}.{k}", 0, len(members))
        out[..., members] = np.take_along_axis(
            mask[..., members], np.broadcast_to(order[:, None], mask[..., members].shape), -1
        )
    return out


def _sizes(params: Params) -> tuple[int, int, int]:
    """Blocks, heads in a block, neurons in a block."""
    return params["W_QKV"].shape[1], params["W_QKV"].shape[4], params["W_in"].shape[-1]


def _rounds(nodes: int, sizes: Sequence[int]) -> Iterator[int]:
    """How many nodes each round leaves: a share of the round before, every wanted size among
    them."""
    for size in sorted(sizes, reverse=True):
        while nodes > size:
            nodes = max(size, int(nodes * HELD))
            yield nodes


def _edit(
    params: Params,
    mask: Float[torch.Tensor, "run node"],
    means: Mapping[Hook, torch.Tensor],
    scales: Mapping[Hook, torch.Tensor],
) -> Edit:
    """An edit that moves every node towards its mean and leaves the norms' scales as they were."""
    layers, heads, neurons = _sizes(params)
    names = [
        ("hook_resid_pre", 0),
        *((hook, n) for n in range(layers) for hook in ("hook_z", "hook_post")),
    ]
    share = dict(
        zip(
            names, mask.split([params["W_E"].shape[-1], *[heads, neurons] * layers], 1), strict=True
        )
    )

    def edit(hook: str, block: int, x: torch.Tensor) -> torch.Tensor:
        if hook.endswith(SCALE):
            return scales[hook, block]
        mean, keep_share = means[hook, block][:, None], share[hook, block][:, None]
        return mean + (keep_share[..., None] if x.ndim == 4 else keep_share) * (x - mean)

    return edit
