"""Faithfulness over sizes: how much of the number a circuit keeps while all else has the other
writing, from few edges to all.

CPR asks for edges that help, CMD for edges whose circuit does as the whole decoder does, neither
less nor more. Definitions are MIB's: its text was read in two summaries and in the benchmark's own
evaluation code, not in the paper itself."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay_catalogue.circuits.find.attribution import Scores
from assay_catalogue.circuits.find.cutting import ROWS, without_edges
from assay_catalogue.circuits.find.question import Question

PROPORTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""MIB's sizes of circuits, as shares of all edges."""


@dataclass(frozen=True, eq=False)
class Curve:
    """How faithful circuits of growing size are."""

    shares: tuple[float, ...]
    faithfulness: Float[torch.Tensor, "run size"]
    """(m(C) − m(∅)) / (m(N) − m(∅)): 0 with no edge, 1 with all."""

    @property
    def cpr(self) -> Float[torch.Tensor, " run"]:
        """MIB's integrated circuit performance ratio: the area under the curve.

        Formula: ∫ f dk by the trapezoidal rule over the shares; Better: higher, where edges are
        ranked by signed score
        Source: Mueller et al. 2025, MIB (arXiv 2504.13151).
        """
        return area(self.faithfulness, self.shares)

    @property
    def cmd(self) -> Float[torch.Tensor, " run"]:
        """MIB's integrated circuit–model distance: the area between the curve and 1.

        Formula: ∫ |1 − f| dk by the trapezoidal rule over the shares; Better: lower, where edges
        are ranked by the size of their score
        Source: Mueller et al. 2025, MIB (arXiv 2504.13151).
        """
        return area((1 - self.faithfulness).abs(), self.shares)


def area(
    curve: Float[torch.Tensor, "*any size"], shares: tuple[float, ...]
) -> Float[torch.Tensor, "*any"]:
    """Give the area under a curve by the trapezoidal rule."""
    return torch.trapezoid(
        curve, torch.tensor(shares, dtype=curve.dtype, device=curve.device), dim=-1
    )


def circuits(
    scores: Float[torch.Tensor, "*any edge"], shares: tuple[float, ...], *, absolute: bool
) -> Bool[torch.Tensor, "*any size edge"]:
    """Mark the edges that circuits of these sizes keep: the highest scores, or the largest in size;
    of equal ones those nearer to the input.

    Formula: int(share · edges) of them; Raises: DataError for shares that do not rise within 0 to
    1."""
    if list(shares) != sorted(set(shares)) or not shares or not 0 <= shares[0] <= shares[-1] <= 1:
        raise DataError(
            f"sizes of circuits are shares of all edges that rise from 0 to 1, not {shares}"
        )
    n = scores.shape[-1]
    # Edges come in the order of a pass, so a stable sort leaves equal scores with those nearer to
    # the input first.
    order = (scores.abs() if absolute else scores).argsort(dim=-1, descending=True, stable=True)
    # The inverse of the order: the rank of each edge, so that every size is one comparison, and the
    # circuits are nested.
    rank = torch.empty_like(order).scatter_(
        -1, order, torch.arange(n, device=order.device).expand_as(order)
    )
    # 0.29 · 100 is 28.999…96 in floating point; without the nudge int() would lose an edge.
    sizes = torch.tensor([int(share * n + 1e-9) for share in shares], device=order.device)
    return rank[..., None, :] < sizes[:, None]


def curve(
    q: Question,
    scores: Scores,
    *,
    absolute: bool,
    shares: tuple[float, ...] = PROPORTIONS,
    rows: int = ROWS,
) -> Curve:
    """Rank edges by their scores and give how faithful the circuits of each size are.

    `absolute`: rank by the size of the score, as for CMD; by signed score as for CPR.
    """
    masks = circuits(scores.mean(), shares, absolute=absolute)
    # A circuit is run by cutting what is outside.
    return Curve(shares, faithfulness(q, without_edges(q, ~masks, rows)))


def faithfulness(
    q: Question, number: Float[torch.Tensor, "run size b"]
) -> Float[torch.Tensor, "run size"]:
    """Give the share of the number that circuits keep: 0 with no edge, 1 with all.

    Formula: (m(C) − m(∅)) / (m(N) − m(∅)), each a mean over inputs"""
    # A ratio of means, not a mean of ratios: on single inputs m(N) − m(∅) may be near 0.
    return (number.mean(2) - q.empty.mean(1)[:, None]) / q.span()[:, None]
