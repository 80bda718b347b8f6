"""Batches of distinct prefixes of a process with a hidden state, and what follows each."""

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


def drawn_prefixes(
    tree: PrefixTree, seeds: Sequence[int] | Int[np.ndarray, " run"], batch: int
) -> Callable[[int], Batch]:
    """A source of batches: the distinct prefixes of `batch` fresh sequences as long as the tree,
    each counting as often as it occurs, with the exact distribution of what follows. Rows that fill
    up a run count 0 times."""
    length, follows = int(tree.depth[-1]), torch.from_numpy(tree.predicted.astype(np.float32))
    draw = tree.process.sequences(seeds, batch, length)

    def make_batch(step: int) -> Batch:
        tokens = draw(step)
        prefixes, count, row_ids = distinct(tokens, tree.rows(tokens))
        return (*prefixes, count.float(), follows[row_ids])

    return make_batch
