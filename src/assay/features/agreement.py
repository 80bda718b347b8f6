"""Agreement: how far raters agree, corrected for chance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def alpha(scores: Float[np.ndarray, "item rater"]) -> float:
    """Krippendorff's alpha on an interval scale: 1 where raters always agree, 0 where they agree as
    if answers were dealt out by chance.

    NaN is no answer; items with fewer than two answers count in nothing. NaN where all answers are
    equal, or too few.

    Formula: α = 1 − D_o / D_e, with n answers to items that have m ≥ 2, D_o = Σ_items Σ_{i≠j} (v_i
    − v_j)² / (m − 1) / n and D_e = Σ_{i≠j} (v_i − v_j)² / (n (n − 1)) over all pairs of answers
    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011
    """
    known = scores[np.isfinite(scores).sum(1) >= 2]
    if not len(known):
        return float("nan")
    answers = np.isfinite(known).sum(1).astype(float)
    total, square = np.nansum(known, 1), np.nansum(known**2, 1)
    n = answers.mean()
    apart = (2 * (answers * square - total**2) / (answers - 1)).mean()
    pairs = 2 * (n * square.mean() - total.mean() ** 2) / n
    expected = pairs * len(known) / (n * len(known) - 1)
    return float(1 - apart / n / expected) if expected > 1e-12 else float("nan")
