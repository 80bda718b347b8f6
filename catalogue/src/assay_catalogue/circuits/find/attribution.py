"""Scores of all edges: what the number loses without each, to first order, along a way from the
donor, or by cutting each for real.

A first-order score reads one slope. Where attention is sharp, or neurons hold at a ceiling, that
slope is 0 and says nothing of the loss; integrated gradients follow the slope along a way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float

from assay.core.heavy import torch
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
