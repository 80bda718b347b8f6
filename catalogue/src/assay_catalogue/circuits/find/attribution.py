"""Scores of all edges: what the number loses without each, to first order, along a way from the
donor, or by cutting each for real.

A first-order score reads one slope. Where attention is sharp, or neurons hold at a ceiling, that
slope is 0 and says nothing of the loss; integrated gradients follow the slope along a way there.
What each method sees of circuits that are known stands in docs/finding-circuits.md.

Cutting edges together: what one edge is worth once another is gone, and how few edges are
enough.

Where two parts do the same, cutting either alone loses nothing, and no score of single edges sees
them. Pairs see two copies, not three; pruning copes with any number of copies and keeps one of
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from assay.core.heavy import torch
from assay.core.rng import normal
from assay_catalogue.circuits.find.cutting import ROWS, without_edges, without_parts
from assay_catalogue.circuits.find.question import Question
from assay_catalogue.subjects.parts import Edge, Part, Reader, Written, run_by_parts


@dataclass(frozen=True, eq=False)
class Scores:
    """How much each edge is worth to the number: positive where cutting it makes the number
    smaller."""

    edges: tuple[Edge, ...]
    values: Float[torch.Tensor, "run b edge"]
    """Of each input; the score of an edge is the mean over inputs."""

    def mean(self) -> Float[torch.Tensor, "run edge"]:
        """The score of each edge."""
        return self.values.mean(1)

    def found(self, q: Question, share: float = 0.01) -> Bool[torch.Tensor, "run edge"]:
        """Mark the edges worth at least this share of all that there is to explain, in either
        direction."""
        return self.mean().abs() >= share * q.span().abs()[:, None]


def by_cutting(q: Question, rows: int = ROWS) -> Scores:
    """Cut each edge by itself, all else as it was, and see what the number loses: what the methods
    below approximate.

    Source: activation patching of edges, EActP in MIB (Mueller et al. 2025, arXiv 2504.13151).
    """
    # A row of the identity is one cut: one edge alone.
    cuts = torch.eye(len(q.edges), dtype=torch.bool, device=q.tokens.device)
    return Scores(q.edges, (q.full[:, None] - without_edges(q, cuts, rows)).transpose(1, 2))


def by_gradient(q: Question) -> Scores:
    """Edge attribution patching (EAP): each edge's loss to first order, in one pass and one back.

    Formula: Σ_s (x_u − x′_u) · ∂m/∂(what v reads), of the edge from u to v; x′ the donor's writing,
    the slope at the inputs themselves
    Source: Syed et al. 2023 (arXiv 2310.10348); Nanda 2023, Attribution Patching.
    """
    return Scores(q.edges, _scored(q, _slopes(q, 1, {})))


def by_integrated_gradients(q: Question, steps: int = 32) -> Scores:
    """EAP with slopes averaged over a straight way from the donor's inputs to the inputs (EAP-IG
    inputs); later parts follow from these.

    Formula: as EAP, the slope averaged over embeddings x′ + α (x − x′), α = (k − ½)/steps, k = 1 …
    steps
    Source: Hanna et al. 2024 (arXiv 2403.17806), who take α = k/steps; midpoints leave an error of
    1/steps² in place of 1/steps."""
    alphas = _compute_alphas(steps, q)
    inputs: dict[Part, Written] = {}
    for part in q.parts:
        # Embedding and learned positions: what comes in. All that follows runs as it does on such
        # inputs.
        if part.layer < 0:
            inputs[part] = _between(q, part, alphas)
    return Scores(q.edges, _scored(q, _slopes(q, steps, inputs)))


def missed(q: Question, scores: Scores) -> Float[torch.Tensor, " run"]:
    """Give the share of all there is that the edges out of the inputs do not add up to: 0 for
    integrated gradients with steps enough.

    Only where the donor is what other inputs made parts write. Behind a LayerNorm a way may be so
    sharp that hundreds of steps are few."""
    inputs = torch.tensor([u.layer < 0 for u, _ in scores.edges], device=scores.values.device)
    # Completeness (Sundararajan et al. 2017): slopes integrated along a straight way add up to what
    # changes between its ends, m(N) − m(∅).
    return 1 - scores.mean()[:, inputs].sum(1) / q.span()


def by_integrated_activations(q: Question, steps: int = 16) -> Scores:
    """EAP with slopes averaged while one part's writing goes straight from the donor's to its own,
    part by part (EAP-IG activations).

    The other parts stay as they are on the inputs, so that of two copies each hides behind the
    other.

    Formula: as EAP, the slope averaged over x′_u + α (x_u − x′_u) for all who read u, α = (k −
    ½)/steps, k = 1 … steps
    Source: Marks et al. 2024 (arXiv 2403.19647), section on integrated gradients; as a method for
    edges in MIB (arXiv 2504.13151)."""
    alphas, out = (
        _compute_alphas(steps, q),
        torch.zeros(len(q.params["W_E"]), len(q.tokens), len(q.edges)).to(q.full),
    )
    for part in q.parts:
        # Each part needs a way of its own, so this costs a pass and one back for every part and
        # step.
        slopes = _slopes(q, steps, {part: _between(q, part, alphas)})
        # Of these slopes only the edges out of the moving part are scored.
        starts_at_part = torch.tensor([u == part for u, _ in q.edges], device=q.tokens.device)
        out = torch.where(starts_at_part, _scored(q, slopes), out)
    return Scores(q.edges, out)


def by_chance(q: Question, seeds: Sequence[int]) -> Scores:
    """Draw scores at random by each run's seed: what a ranking is worth that knows nothing."""

    noise = torch.from_numpy(
        normal(np.array(seeds), "circuits.find.chance", 0, (1, len(q.edges)))
    ).to(q.full)
    return Scores(q.edges, noise.expand(-1, len(q.tokens), -1))


def _compute_alphas(steps: int, q: Question) -> Float[torch.Tensor, "n 1 1"]:
    """How far along the way each row is: all inputs at the first step, then all at the next."""
    # The order of rows must be that of `tokens.repeat(steps, 1)` in `_slopes`: step by step.
    alpha = (torch.arange(steps, device=q.tokens.device) + 0.5) / steps
    return alpha.repeat_interleave(len(q.tokens))[:, None, None]


def _between(q: Question, part: Part, alphas: Float[torch.Tensor, "n 1 1"]) -> Written:
    """What a part writes on the way from the donor's writing to its own."""
    times = len(alphas) // len(q.tokens)
    clean, donor = (x.repeat(1, times, 1, 1) for x in (q.clean.wrote[part], q.donor[part]))
    new = donor + alphas.to(clean) * (clean - donor)
    return lambda _: new


def _slopes(
    q: Question, steps: int, written: Mapping[Part, Written]
) -> dict[Reader, Float[torch.Tensor, "run b s d"]]:
    """The slope of the number in what each reader reads, averaged over the steps of a way.

    Every reader reads the embedding, so a nudge of 0 is added there that is each reader's own.
    """
    # A reader's input is a sum of what parts wrote, so a slope in any one summand is the slope in
    # what the reader reads; one nudge a reader serves all edges into it.
    first = Part("embed")
    nudge = {
        reader: torch.zeros_like(q.clean.wrote[first].repeat(1, steps, 1, 1), requires_grad=True)
        for u, reader in q.edges
        if u == first
    }

    def nudged(more: torch.Tensor) -> Written:
        return lambda x: x + more

    forward_pass = run_by_parts(
        q.params,
        q.tokens.repeat(steps, 1),
        q.activation,
        written=written,
        read={(first, r): nudged(more) for r, more in nudge.items()},
    )
    # No row's number depends on another row or run, so the gradient of the sum is each one's own. A
    # reader may lead nowhere: its slope is 0.
    slopes = torch.autograd.grad(
        q.measured(forward_pass.logits).sum(), list(nudge.values()), allow_unused=True
    )
    whole = (
        torch.zeros_like(more) if g is None else g
        for g, more in zip(slopes, nudge.values(), strict=True)
    )
    return {
        reader: g.unflatten(1, (steps, -1)).mean(1) for reader, g in zip(nudge, whole, strict=True)
    }


def _scored(
    q: Question, slopes: Mapping[Reader, Float[torch.Tensor, "run b s d"]]
) -> Float[torch.Tensor, "run b edge"]:
    """Each edge's loss to first order: what changes there times the slope."""
    off = {part: q.clean.wrote[part] - q.donor[part] for part in q.parts}
    return torch.stack([torch.einsum("rbsd,rbsd->rb", off[u], slopes[v]) for u, v in q.edges], -1)


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


def pruned(q: Question, share: float = 0.01, rows: int = ROWS) -> Bool[torch.Tensor, " edge"]:
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
