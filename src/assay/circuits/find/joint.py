"""Cutting edges together: what one edge is worth once another is gone, and how few edges are
enough.

Where two parts do the same, cutting either alone loses nothing, and no score of single edges sees
them. Pairs see two copies, not three; pruning copes with any number of copies and keeps one of
them."""

from __future__ import annotations

from jaxtyping import Bool, Float

from assay.circuits.find.attribution import Scores
from assay.circuits.find.cutting import ROWS, without_edges, without_parts
from assay.circuits.find.question import Question
from assay.core.heavy import torch


def pairs_of_parts(q: Question, rows: int = ROWS) -> Float[torch.Tensor, "run b part part"]:
    """Give what the number of each input loses when two parts have the other writing at all
    positions; the diagonal is one part alone."""
    identity = torch.eye(len(q.parts), dtype=torch.bool, device=q.tokens.device)
    both = (
        (identity[:, None] | identity[None])
        .flatten(0, 1)[..., None]
        .expand(-1, -1, q.tokens.shape[1])
    )
    losses = q.full[:, None] - without_parts(q, both, rows=rows)
    return losses.transpose(1, 2).unflatten(2, identity.shape)


def interaction(pairs: Float[torch.Tensor, "run b n n"]) -> Float[torch.Tensor, "run b n n"]:
    """Give what two lose together beyond what each loses alone: above 0 where one stands in for the
    other. The diagonal means nothing."""
    singles = pairs.diagonal(dim1=2, dim2=3)
    return pairs - singles[..., None] - singles[:, :, None]


def by_pairs(q: Question, rows: int = ROWS) -> Scores:
    """Score each edge by what it is worth alone, or once one other edge is cut, where that is more.

    What an edge spoils once another is cut is left out: a head that looks at the wrong place had
    better be silent.

    Formula: m(N) − m(N∖e), or of the other edges f the largest m(N∖f) − m(N∖{e, f}) if that exceeds
    it in size; by means over inputs"""
    n = len(q.edges)
    identity = torch.eye(n, dtype=torch.bool, device=q.tokens.device)
    # The order of two cuts does not matter, so half the table is run; its diagonal, e | e, is one
    # edge alone.
    above = torch.triu_indices(n, n)
    lost = q.full[:, None] - without_edges(
        q, identity[above[0]] | identity[above[1]], rows
    )  # run, pair, b
    table = lost.new_zeros(*lost.shape[::2], n, n)
    table[..., above[0], above[1]] = lost.transpose(1, 2)
    table[..., above[1], above[0]] = lost.transpose(1, 2)
    singles = table.diagonal(dim1=2, dim2=3)
    worth = (
        # [m(N) − m(N∖{e, f})] − [m(N) − m(N∖f)] = m(N∖f) − m(N∖{e, f})
        table - singles[:, :, None] * ~identity
    )  # run, b, edge, the edge cut before; on the diagonal none is
    # The partner f is chosen by means over inputs, the same for all: chosen for each input it would
    # pick noise.
    size = worth.mean(1, keepdim=True)
    best = (
        # Alone an edge counts by its size, in either direction; behind a cut of another only by
        # what it gains.
        torch.where(identity, size.abs(), size)
        .argmax(-1, keepdim=True)
        .expand(*worth.shape[:-1], 1)
    )
    return Scores(q.edges, worth.gather(-1, best)[..., 0])


def pruned(q: Question, share: float = 0.01, rows: int = ROWS) -> Bool[torch.Tensor, "edge"]:
    """Cut edges for good, one after another from the logits back, each where the number then
    changes by less than a share of all there is.

    A change is that against the edges that are left, as in ACDC; the last circuit may thus be off
    by more. Of copies the last one stays. Of several runs, what is cut is what all of them can
    spare.

    Source: Conmy et al. 2023 (arXiv 2304.14997), there with a divergence of the outputs in place of
    the number."""
    cut = torch.zeros(len(q.edges), dtype=torch.bool, device=q.tokens.device)
    current, least = q.full.mean(1), share * q.span().abs()
    # Edges are in the order of a pass. From the back, a part that nothing reads any more has lost
    # its readers before the edges into it are tried, and those go at once.
    for i in reversed(range(len(q.edges))):
        cut[i] = True
        without = without_edges(q, cut[None], rows)[:, 0].mean(1)
        if bool(((without - current).abs() < least).all()):
            current = without
        else:
            cut[i] = False
    return ~cut
