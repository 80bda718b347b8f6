"""The tokens that a feature promotes and suppresses: exactly, through the final norm as it is where
the feature fires, and linearised.

    exact      mean over firings of W_U [LN(x) − LN(x − a d)], x the stream before the final norm
    linear     (d ∘ w) W_U, w the norm's weight: the logit table that others show

Both are of the direct path alone. How far they agree is a property of the firings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import DataError
from assay.core.heavy import torch
from assay.features.effects import extremes
from assay.features.importance import check_direct
from assay.features.live.logits import Unembedding
from assay.features.live.reader import Firings, Reader, Reading
from assay.features.parts import directions

CHUNK = 32
"""Firings whose logits are held at once."""


@dataclass(frozen=True, eq=False)
class Promoted:
    """What a feature does to the next token's logits along the direct path, at some firings."""

    feature: int
    firings: int
    exact: Float[np.ndarray, "v"]
    """Centred logits with the feature less those without it, mean over the firings."""
    linear: Float[np.ndarray, "v"]
    """Centred logits of one unit of it, without the norm's division."""
    cosine: float
    """Between the two."""
    overlap: tuple[float, float]
    """Share of the ten most promoted tokens that both have, and of the ten most suppressed."""

    def table(
        self, count: int = 10, exact: bool = True
    ) -> tuple[Int[np.ndarray, "sign rank"], Float[np.ndarray, "sign rank"]]:
        """Ids and logits of the most promoted (sign 0) and the most suppressed tokens (sign 1);
        ties by token id."""
        ids, values = extremes((self.exact if exact else self.linear)[None], count)
        return ids[0], values[0]


def promoted(reader: Reader, feature: int, firings: Sequence[tuple[Reading, Firings]]) -> Promoted:
    """Find the tokens that a feature promotes at these firings, exactly and linearised. No pass of
    the model: the readings have it.

    Firings of other features among them are passed over. One product with the unembedding for each
    firing.

    Raises: DataError where the feature does not fire; ModelError for a site outside the residual
    stream."""
    check_direct(reader.target)
    unembedding = Unembedding.of(reader.subject)
    total, n = (
        torch.zeros(len(unembedding.W_U), dtype=torch.float64, device=reader.subject.device),
        0,
    )
    for reading, some in firings:
        feature_firings = some.of(feature)
        for a in range(0, len(feature_firings), CHUNK):
            chunk = feature_firings[slice(a, a + CHUNK)]
            x = reading.stream.float()[torch.from_numpy(chunk.position).to(total.device)]
            total += unembedding.exact(reader.parts(reading, chunk), x).double().sum(0)
        n += len(feature_firings)
    if not n:
        raise DataError(f"feature {feature} does not fire here; give firings of it")
    exact = (total / n).cpu().numpy()
    linear = unembedding.linear(directions(reader.dictionary, [feature]))[0].double().cpu().numpy()
    linear -= linear.mean()
    return Promoted(feature, n, exact, linear, _cosine(exact, linear), _overlap(exact, linear))


def _cosine(a: Float[np.ndarray, "v"], b: Float[np.ndarray, "v"]) -> float:
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size else float("nan")


def _overlap(
    a: Float[np.ndarray, "v"], b: Float[np.ndarray, "v"], count: int = 10
) -> tuple[float, float]:
    """How many of the most promoted, and of the most suppressed, are in both lists, as shares."""
    count = min(count, len(a))
    ids = extremes(np.stack([a, b]), count)[0]
    first, second = (len(np.intersect1d(ids[0, s], ids[1, s])) / count for s in (0, 1))
    return first, second
