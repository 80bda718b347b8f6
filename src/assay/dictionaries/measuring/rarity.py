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
    firings: Float[Array, "*run f"], tokens: float, bounds: Mapping[str, float] = BOUNDS
) -> dict[str, Float[Array, "*run"]]:
    """Shares of features by how often they fire in `tokens` rows, with `resolution` and
    `dead_below`.

    A test set shows no density below `resolution`, so a class that ends at or below it is NaN, not
    0: its members read as dead. A feature that is called dead has, with 95 % confidence, a density
    of at most `dead_below`.

    Formula: with ρ = firings / tokens: dead ρ = 0; ultra_rare 0 < ρ < 1e-5; rare to < 1e-3;
        ordinary to ≤ .1; dense above; resolution 1/tokens; dead_below 1 − .05^(1/tokens), about
        3/tokens
    Range: 0 to 1; the shares that are not NaN sum to 1; NaN without rows
    Better: dead lower; otherwise neither
    Raises: DataError for counts that are negative or above `tokens`, or bounds that do not rise
    """
    count = float64(firings)
    if (
        list(bounds) != list(BOUNDS)
        or not 0 < bounds["ultra_rare"] < bounds["rare"] < bounds["ordinary"] < 1
    ):
        raise DataError(
            f"bounds must rise between 0 and 1 and be named {', '.join(BOUNDS)}, got {dict(bounds)}"
        )
    if count.shape[-1] and not bool(((count >= 0) & (count <= tokens)).all()):
        raise DataError(
            f"a feature fires in 0 to {tokens:g} of {tokens:g} rows, got counts from "
            f"{count.min():g} to {count.max():g}"
        )
    a, b, c = (bounds[name] * tokens for name in BOUNDS)
    inside = {
        "dead": count == 0,
        "ultra_rare": (count > 0) & (count < a),
        "rare": (count > 0) & (count >= a) & (count < b),
        "ordinary": (count > 0) & (count >= b) & (count <= c),
        "dense": (count > 0) & (count > c),
    }
    shares = {name: float64(these).mean(-1) for name, these in inside.items()}
    unseen = {name for name, bound in bounds.items() if bound * tokens <= 1 and name != "ordinary"}
    if tokens <= 0:
        unseen = set(shares)
    shares = {name: share * np.nan if name in unseen else share for name, share in shares.items()}
    like = 0 * shares["dead"]
    resolution = 1 / tokens if tokens > 0 else np.nan
    return shares | {"resolution": like + resolution, "dead_below": like + (1 - 0.05**resolution)}
