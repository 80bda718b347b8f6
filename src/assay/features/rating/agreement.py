"""How far raters agree: Krippendorff's alpha, with an interval over items."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from assay.core.intervals import Interval, Means, interval


def alpha(scores: Float[np.ndarray, "item rater"]) -> float:
    """Measure agreement on an interval scale: 1 where raters always agree, 0 where they agree as if
    answers were dealt out by chance.

    NaN is no answer; items with fewer than two answers count in nothing. NaN where all answers are
    equal, or too few.

    Formula: α = 1 − D_o / D_e, with n answers to items that have m ≥ 2, D_o = Σ_items Σ_{i≠j} (v_i
    − v_j)² / (m − 1) / n and D_e = Σ_{i≠j} (v_i − v_j)² / (n (n − 1)) over all pairs of answers
    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011
    """
    terms = _terms(scores)
    if not len(terms["answers"]):
        return float("nan")
    return float(
        _alpha(len(terms["answers"]))(
            {name: term.mean(keepdims=True) for name, term in terms.items()}
        )[0]
    )


def alpha_interval(scores: Float[np.ndarray, "item rater"]) -> Interval:
    """Give alpha an interval over items, as `core.intervals` makes it."""
    terms = _terms(scores)
    return interval(terms, _alpha(len(terms["answers"])))


def _terms(scores: Float[np.ndarray, "item rater"]) -> dict[str, Float[np.ndarray, "item"]]:
    """What alpha needs of each item: sums over its answers."""
    known = scores[np.isfinite(scores).sum(1) >= 2]
    answers = np.isfinite(known).sum(1).astype(float)
    total, square = np.nansum(known, 1), np.nansum(known**2, 1)
    return {
        "answers": answers,
        "sum": total,
        "square": square,
        "apart": 2 * (answers * square - total**2) / (answers - 1),
    }


def _alpha(items: int):  # type: ignore[no-untyped-def]  # a core.intervals.Statistic
    def statistic(m: Means) -> np.ndarray:
        n = items * m["answers"]
        expected = 2 * (n * items * m["square"] - (items * m["sum"]) ** 2) / (n * (n - 1))
        with np.errstate(invalid="ignore", divide="ignore"):
            estimate = 1 - m["apart"] / m["answers"] / expected
        return np.where(expected > 1e-12, estimate, np.nan)

    return statistic
