"""Batches of distinct prefixes of a process with a hidden state, and what follows each: exactly, or
as it was drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from assay.core.heavy import torch
from assay_catalogue.worlds.hidden_markov.process import PrefixTree
from assay_catalogue.worlds.networks.transformer import Prefixes, distinct

Batch: TypeAlias = "tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]"
"""token, position and ancestors of each prefix [run row …], how much it counts [run row], what
follows it [run row v]."""


def all_prefixes(tree: PrefixTree) -> Prefixes:
    """Every prefix of a tree as a network reads it, the same for all runs: first axes of 1."""
    return Prefixes(
        *(torch.from_numpy(a)[None] for a in (tree.token, tree.depth - 1, tree.ancestors))
    )


def every_prefix(tree: PrefixTree) -> Batch:
    """The batch of all prefixes, each counting by its probability, with the exact distribution of
    what follows."""
    weight, follows = (
        torch.from_numpy(a.astype(np.float32))[None] for a in (tree.probability, tree.predicted)
    )
    return (*all_prefixes(tree), weight, follows)


def drawn_prefixes(
    tree: PrefixTree,
    seeds: Sequence[int] | Int[np.ndarray, " run"],
    batch: int,
    sampled: bool = False,
) -> Callable[[int], Batch]:
    """A source of batches: the distinct prefixes of `batch` fresh sequences as long as the tree,
    each counting as often as it occurs.

    What follows a prefix is its exact distribution, the expectation of what came next; with
    `sampled` the shares of the tokens that came. Rows that fill up a run count 0 times.
    """
    length, follows = int(tree.depth[-1]), torch.from_numpy(tree.predicted.astype(np.float32))
    draw = tree.process.sequences(seeds, batch, length + sampled)

    def make_batch(step: int) -> Batch:
        tokens = draw(step)
        rows = tree.rows(tokens[..., :length])
        prefixes, count, row_ids = distinct(tokens[..., :length], rows)
        target = follows[row_ids]
        if sampled:
            target = torch.zeros_like(target)
            for r in range(len(tokens)):
                used = int((count[r] > 0).sum())
                positions = np.searchsorted(row_ids[r, :used].numpy(), rows[r].ravel())
                after = torch.from_numpy(tokens[r, :, 1:].ravel())
                target[r].index_put_(
                    (torch.from_numpy(positions), after), torch.ones(1), accumulate=True
                )
            target = target / count.clamp_min(1)[..., None]
        return (*prefixes, count.float(), target)

    return make_batch
