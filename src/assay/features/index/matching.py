"""Two dictionaries of one site, row against row: which features have a counterpart in the other, by
the direction they write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import DataError
from assay.core.heavy import scipy
from assay.features.index.about import Damaged

ROWS = 2048
"""Rows of the first that are compared at once."""
MOST = 200_000_000_000
"""Products of numbers, at most: two dictionaries of 18,000 features in 576 dimensions, a few
seconds."""
FILE = "decoder.npy"


@dataclass(frozen=True, eq=False)
class Match:
    """For each feature of both dictionaries: the other's nearest by cosine, and that cosine."""

    there: Int[np.ndarray, " f"]
    """The second dictionary's feature nearest to each of the first."""
    cosine: Float[np.ndarray, " f"]
    back: Int[np.ndarray, " g"]
    """The first dictionary's feature nearest to each of the second."""
    back_cosine: Float[np.ndarray, " g"]
    dimensions: int

    @property
    def mutual(self) -> Bool[np.ndarray, " f"]:
        """Features of the first that are the nearest of their nearest."""
        return self.back[self.there] == np.arange(len(self.there))

    @property
    def chance(self) -> float:
        """The median best cosine of a random direction with as many random rows as the second
        dictionary has.

        Formula: x with (1 − ½ P(B > x²))ⁿ = ½, B ~ Beta(½, (d − 1)/2), for n rows in d dimensions
        """
        if self.dimensions < 2:
            return 1.0
        above = -2 * np.expm1(-np.log(2) / len(self.back))
        return float(np.sqrt(scipy.stats.beta.isf(min(1.0, above), 0.5, (self.dimensions - 1) / 2)))


def rows(folder: Path) -> Float[np.ndarray, "f d"]:
    """Decoder rows of an index, of length 1, in half precision. Raises: DataError where there are
    none."""
    try:
        decoder: np.ndarray = np.load(folder / FILE)
    except FileNotFoundError as error:
        raise DataError(
            "this index was made before decoder rows were kept; make it again with: assay "
            "index DICTIONARY"
        ) from error
    except (OSError, ValueError, EOFError) as error:
        raise Damaged(folder, FILE, error) from error
    if decoder.ndim != 2 or decoder.dtype.kind != "f":
        raise Damaged(folder, FILE, f"it holds {decoder.dtype} of shape {decoder.shape}")
    return decoder


def match(first: Float[np.ndarray, "f d"], second: Float[np.ndarray, "g d"]) -> Match:
    """Compare all rows of length 1; the sign counts, so an opposite direction is no counterpart.
    Ties go to the lower number.

    Raises: DataError for rows of unlike length, or too many of them.
    """
    (f, d), (g, e) = first.shape, second.shape
    if d != e:
        raise DataError(
            f"one dictionary writes {d:,} dimensions, the other {e:,}: they are not of one site"
        )
    if not f or not g:
        raise DataError("one of the two dictionaries has no feature")
    if f * g * d > MOST:
        raise DataError(
            f"{f:,} × {g:,} features in {d:,} dimensions are too many to compare on a page"
        )
    nearest, cosine = np.zeros(f, np.int64), np.zeros(f, np.float32)
    back, back_cosine = np.zeros(g, np.int64), np.full(g, -np.inf, np.float32)
    other = second.astype(np.float32).T
    for a in range(0, f, ROWS):
        products = first[a : a + ROWS].astype(np.float32) @ other
        nearest[a : a + ROWS] = products.argmax(1)
        cosine[a : a + ROWS] = products.max(1)
        best, index = products.max(0), products.argmax(0)
        better = best > back_cosine
        back[better], back_cosine[better] = index[better] + a, best[better]
    return Match(nearest, cosine.clip(-1, 1), back, back_cosine.clip(-1, 1), d)
