"""Attention scores as sums over pairs of parts: whose writing asks and whose is found, exactly."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from assay.circuits.find.question import Question
from assay.circuits.find.terms import constant, normed_terms
from assay.core.heavy import torch
from assay.subjects.decoder import rotated
from assay.subjects.parts import Part, Reader, Slot

Source = Part | None
"""Who wrote what a head reads; None for biases, which nobody wrote."""


@dataclass(frozen=True, eq=False)
class ScoreTerms:
    """One head's attention scores before the softmax, divided among pairs of a writer that the
    query read and one that the key read."""

    sources: tuple[Source, ...]
    values: Float[torch.Tensor, "run b source source s s"]
    """Query's source, key's source, query's position, key's position; later keys too, which the
    softmax never sees."""

    @property
    def scores(self) -> Float[torch.Tensor, "run b s s"]:
        """The scores themselves: the sum of all terms."""
        return self.values.sum((2, 3))

    @property
    def share(self) -> Float[torch.Tensor, "run source source"]:
        """How much of what tells keys apart each pair makes: covariances with the score over the
        keys that each query sees, as shares.

        Formula: Σ_q cov_k(term_qk, score_qk) / Σ_q var_k(score_qk), over keys k ≤ q; the shares add
        up to 1"""
        causal_mask = torch.ones(self.values.shape[-2:], device=self.values.device).tril()
        count = causal_mask.sum(-1, keepdim=True)
        off = (
            # The softmax does not see what all keys of a query have in common, so each query's mean
            # over its keys is taken off first.
            self.values - (self.values * causal_mask).sum(-1, keepdim=True) / count
        ) * causal_mask
        whole = off.sum((2, 3))
        return (
            torch.einsum("rbijqk,rbqk->rij", off, whole)
            / whole.square().sum((1, 2, 3))[:, None, None]
        )


def score_terms(q: Question, layer: int, head: int) -> ScoreTerms:
    """Divide one head's attention scores among pairs of sources; the norm's divisors are held where
    they are, so that terms add up exactly.

    Formula: (x_i W_Q) · (y_j W_K) / √d_head, x_i and y_j each source's share of what query and key
    read; both turned where positions are
    Source: Elhage et al. 2021, A Mathematical Framework for Transformer Circuits (the QK circuit,
    divided over virtual weights)."""
    slots: tuple[Slot, ...] = ("q", "k")
    sides = []
    for i, slot in enumerate(slots):
        reader = Reader("head", layer, head, slot)
        W = q.params["W_QKV"][:, layer, :, i, head]
        terms = normed_terms(q.params, q.clean, reader)
        side = torch.einsum(
            "nrbsd,rde->nrbse",
            torch.stack([*terms.values(), constant(q.params, q.clean, reader)]),
            W,
        )
        if "b_QKV" in q.params:
            # The last source is nobody's: biases before the norm, the norm's own, and the
            # projection's.
            side[-1] += q.params["b_QKV"][:, layer, i, head][:, None, None]
        # A rotation is linear, so a sum's terms may be turned one by one.
        sides.append(side if "W_pos" in q.params else rotated(side))
    # (Σ_i q_i) · (Σ_j k_j) is the sum over all pairs: nothing is approximated.
    values = torch.einsum("irbqe,jrbke->rbijqk", sides[0], sides[1]) / sides[0].shape[-1] ** 0.5
    return ScoreTerms((*terms, None), values)
