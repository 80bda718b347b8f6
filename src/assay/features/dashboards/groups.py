"""Examples in groups, as sae_vis and its successors show them: the strongest, then equal-width
intervals of the activation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core import rng
from assay.features.index.firings import Block, Firings

TOP, GROUPS, EACH = 20, 5, 5
"""Strongest examples, intervals, and examples drawn from each."""
LEAST = 1e-6
"""Lower edge of the lowest interval for what is drawn: zeros are no example."""


@dataclass(frozen=True, eq=False)
class Example:
    """One window of the text and a feature's activation at each of its tokens."""

    window: int
    position: int
    """Where the firing is that the example was drawn for."""
    values: Float[np.ndarray, "s"]
    effects: Float[np.ndarray, "s"] | None
    """Rise of the loss of all later tokens, in nats and to first order, if the feature were taken
    out at that token."""


@dataclass(frozen=True, eq=False)
class Group:
    """Examples of one kind. Of the strongest, `low` and `share` are −1 and `high` is the maximum,
    as SAEDashboard marks them."""

    low: float
    high: float
    share: float
    """Share of all tokens, zeros included, with an activation from `low` to `high`."""
    examples: tuple[Example, ...]


def groups(
    firings: Firings, numbers: Sequence[int], seed: int = 0
) -> Iterator[tuple[int, tuple[Group, ...]]]:
    """Draw each feature's examples from its firings, strongest interval first; no group of a
    feature that never fires.

    Formula: edges = linspace(0, max, GROUPS + 1); at most one of the strongest examples of each
    window"""
    tokens, token_count = firings.tokens, int(firings.kept.sum())
    for number in numbers:
        block = firings.block(number, number + 1)
        yield (
            number,
            _groups(
                block,
                tokens.shape[1],
                token_count,
                rng.generator(seed, "dashboard/examples", number),
            )
            if len(block.value)
            else (),
        )


def _groups(block: Block, length: int, tokens: int, draw: np.random.Generator) -> tuple[Group, ...]:
    maximum = float(block.value.max())
    strongest = block.strongest
    first = np.unique(block.row[strongest] // length, return_index=True)[1]
    interval_groups = [
        Group(-1, maximum, -1, _examples(block, strongest[np.sort(first)[:TOP]], length))
    ]
    edges = np.linspace(0, maximum, GROUPS + 1)
    for low, high in zip(edges[-2::-1], edges[:0:-1], strict=True):
        inside = np.flatnonzero((block.value >= max(low, LEAST)) & (block.value <= high))
        share = (len(inside) + (tokens - len(block.value) if low == 0 else 0)) / tokens
        sample = draw.choice(inside, min(EACH, len(inside)), replace=False)
        interval_groups.append(
            Group(float(low), float(high), share, _examples(block, sample, length))
        )
    return tuple(interval_groups)


def _examples(block: Block, places: Int[np.ndarray, "n"], length: int) -> tuple[Example, ...]:
    examples = []
    for place in places:
        window, position = divmod(int(block.row[place]), length)
        a, b = np.searchsorted(block.row, (window * length, (window + 1) * length))
        offsets = block.row[a:b] - window * length
        values = np.zeros(length)
        values[offsets] = block.value[a:b]
        effects = None
        if block.effect is not None:
            effects = np.zeros(length)
            effects[offsets] = block.effect[a:b]
        examples.append(Example(window, position, values, effects))
    return tuple(examples)
