"""How rare features are: the shares that are dead, ultra-rare, rare, ordinary and dense, and what a
test set can tell apart.

Counts come from `sums.document_sums` (its `firings`) or from anywhere else, and add up over
calls. Shares are computed from counts, never from printed percentages.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from assay.core.arrays import Array, float64
from assay.core.errors import DataError

BOUNDS: Mapping[str, float] = {"ultra_rare": 1e-5, "rare": 1e-3, "ordinary": 0.1}
"""Upper ends of the classes between dead and dense: a feature of exactly this density is in the
next class, but .1 is ordinary.

Sources: 1e-5 is where the lower of the two clusters of Towards Monosemanticity (2023) ends; .1 is
the bound above which Jumping Ahead (2024) calls latents very frequent; 1e-3 is ours, where a
feature fires about once in eight windows of 128 tokens. """


def density_classes(
    firings: Float[Array, "*run f"], tokens: float
) -> dict[str, Float[Array, "*run"]]:
    """Shares of features by how often they fire in `tokens` rows.

    A test set shows no density below 1/tokens, so a class that ends at or below it is NaN, not 0:
    its members read as dead.

    Formula: with ρ = firings / tokens: dead ρ = 0; ultra_rare 0 < ρ < 1e-5; rare to < 1e-3;
        ordinary to ≤ .1; dense above
    Range: 0 to 1; the shares that are not NaN sum to 1; NaN without rows
    Better: dead lower; otherwise neither
    Raises: DataError for counts that are negative or above `tokens`
    """
    count = float64(firings)
    if count.shape[-1] and not bool(((count >= 0) & (count <= tokens)).all()):
        raise DataError(
            f"a feature fires in 0 to {tokens:g} of {tokens:g} rows, got counts from "
            f"{count.min():g} to {count.max():g}"
        )
    a, b, c = (bound * tokens for bound in BOUNDS.values())
    inside = {
        "dead": count == 0,
        "ultra_rare": (count > 0) & (count < a),
        "rare": (count > 0) & (count >= a) & (count < b),
        "ordinary": (count > 0) & (count >= b) & (count <= c),
        "dense": (count > 0) & (count > c),
    }
    shares = {name: float64(these).mean(-1) for name, these in inside.items()}
    unseen = {name for name, bound in BOUNDS.items() if bound * tokens <= 1 and name != "ordinary"}
    if tokens <= 0:
        unseen = set(shares)
    return {name: share * np.nan if name in unseen else share for name, share in shares.items()}
