"""Faithfulness over sizes: how much of the number a circuit keeps while all else has the other
writing, from few edges to all.

CPR asks for edges that help, CMD for edges whose circuit does as the whole decoder does, neither
less nor more. Definitions are MIB's: its text was read in two summaries and in the benchmark's own
evaluation code, not in the paper itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core import rng
from assay.core.errors import DataError
from assay.core.heavy import torch
from assay_catalogue.circuits.find.attribution import Scores
from assay_catalogue.circuits.find.cutting import ROWS, without_edges
from assay_catalogue.circuits.find.question import Question

PROPORTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""MIB's sizes of circuits, as shares of all edges."""
Measure = Literal["CPR", "CMD"]


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


def every_size(q: Question) -> tuple[float, ...]:
    """Give each number of edges from 0 to all as a share: for decoders so small that MIB's
    proportions name circuits of no edge."""
    return tuple(i / len(q.edges) for i in range(len(q.edges) + 1))


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


@dataclass(frozen=True, eq=False)
class Area:
    """CPR or CMD with an interval over resampled inputs."""

    estimate: Float[np.ndarray, " run"]
    low: Float[np.ndarray, " run"]
    high: Float[np.ndarray, " run"]
    kept: Float[np.ndarray, "run edge"]
    """How often each edge was in the half of all edges ranked first, over the draws: a ranking that
    data decide has shares near 0 and 1."""


def resampled(
    q: Question,
    scores: Scores,
    measure: Measure,
    *,
    shares: tuple[float, ...] = PROPORTIONS,
    draws: int = 200,
    level: float = 0.95,
    rows: int = ROWS,
) -> Area:
    """Give CPR or CMD with the percentiles of a bootstrap over both: inputs that the scores were
    found on, and those the curve is measured on.

    In each draw edges are ranked anew by the mean score of resampled inputs, and circuits judged on
    resampled inputs of the question. Scores are best found on other inputs than those of the
    question; the two are resampled apart. A circuit that came up before is not run again.

    Raises: DataError for fewer than two inputs on either side.
    """
    n_finding, judged = scores.values.shape[1], len(q.tokens)
    if min(n_finding, judged) < 2:
        raise DataError(
            "resampling needs at least two inputs to find edges on and two to judge circuits "
            f"on, not {n_finding} and {judged}"
        )
    absolute = measure == "CMD"
    # A resample is how often each input is picked, so a resampled mean is a weighted one: scores
    # and numbers of single inputs are worked out once, and a draw costs a product, no pass.
    weights = _counts("finding", draws, n_finding).to(scores.values)
    ranked = torch.einsum("nb,rbe->nre", weights / n_finding, scores.values)
    masks = circuits(
        torch.cat([scores.mean()[None], ranked]), shares, absolute=absolute
    )  # the first is all inputs, once each
    # Rankings that a resample leaves alike name the same circuits, often: of draws · sizes few are
    # left. `unique` compares whole rows, so it is over [draw · size] of all runs together.
    unique_masks, which = (
        masks.transpose(1, 2).flatten(0, 1).unique(dim=0, return_inverse=True)
    )  # one circuit of each run
    number = without_edges(q, ~unique_masks.transpose(0, 1), rows)  # run, circuit, b
    # As in `ranked`, the first draw is all inputs once each: the estimate itself.
    judging_weights = (
        torch.cat([torch.ones(1, judged), _counts("judging", draws, judged)]).to(number) / judged
    )
    which = which.view(draws + 1, len(shares))
    runs = torch.arange(number.shape[0], device=number.device)[:, None]
    # Draw by draw: all at once would be an array [draw, run, size, b].
    circuit = torch.stack(
        [
            torch.einsum("b,rsb->rs", w, number[runs, index])
            for w, index in zip(judging_weights, which, strict=True)
        ]
    )
    # With the same weights as the circuits: m(C), m(∅) and m(N) of one draw are of the same inputs,
    # as they are in the estimate.
    full, empty = (
        torch.einsum("nb,rb->nr", judging_weights, x)[..., None] for x in (q.full, q.empty)
    )
    curves = Curve(shares, (circuit - empty) / (full - empty))
    values = (curves.cmd if absolute else curves.cpr).cpu().numpy()
    # Without the estimate, which is no draw.
    low, high = np.quantile(values[1:], [(1 - level) / 2, (1 + level) / 2], axis=0)
    first = circuits(ranked, (0.5,), absolute=absolute)[..., 0, :].double().mean(0)
    return Area(values[0], low, high, first.cpu().numpy())


def _counts(stream: str, draws: int, n: int) -> Int[torch.Tensor, "draw n"]:
    """How often each of n inputs is picked in each draw."""
    # The number of inputs is in the name of the stream: samples of other sizes are not cut from the
    # same numbers.
    picked = rng.integers(np.zeros(1, int), f"circuits.find.{stream}.{n}", 0, (draws, n), n)[0]
    return torch.from_numpy(np.stack([np.bincount(row, minlength=n) for row in picked])).double()
