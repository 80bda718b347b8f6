"""How features relate to each other and to the features of other dictionaries: by direction and by
activation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from assay.features.effects import largest
from assay.features.index.firings import Firings
from assay.features.index.schema import ANTIPODAL, COMPANIONS

Arrays = dict[str, np.ndarray]
LARGEST = 200_000
"""A wider dictionary's rows are not all compared with each other: the work grows with the square of
the width."""
CELLS = 2**24
"""Cells of a matrix of features by features that is held at once."""
MOST = 6_000_000
"""Firings, at most, that correlations are worked out from; of a longer text an even sample of
windows."""


def unit(rows: Float[np.ndarray, "f d"]) -> Float[np.ndarray, "f d"]:
    """Rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows, np.float32), where=length > 0).astype(
        np.float32
    )


def by_direction(decoder: Float[np.ndarray, "f d"], first: int, end: int) -> tuple[Arrays, Arrays]:
    """Nearest decoder rows of features `first` to `end` − 1, by absolute cosine: rows of
    `neighbours`, and three columns of `features`.

    `decoder` are unit rows. Formula: cos(d_i, d_j), j ≠ i
    """
    count = min(COMPANIONS, max(0, len(decoder) - 1))
    parts = []
    for chunk in _chunks(first, end, len(decoder)):
        cosine = decoder[chunk] @ decoder.T
        rows = np.arange(len(chunk))
        cosine[rows, chunk] = 0
        other, least = largest(np.abs(cosine), count), cosine.argmin(1)
        parts.append((other, np.take_along_axis(cosine, other, 1), least, cosine[rows, least]))
    other, near, least, lowest = (np.concatenate(part) for part in zip(*parts, strict=True))
    table = _rows("decoder", np.arange(first, end), other, cosine=near)
    columns = {
        "nearest": other[:, 0] if count else np.full(end - first, -1),
        "nearest_cosine": near[:, 0].astype(np.float64) if count else np.full(end - first, np.nan),
        "antipode": np.where(lowest <= ANTIPODAL, least, -1),
    }
    return table, columns


def _chunks(first: int, end: int, columns: int) -> Iterator[Int[np.ndarray, " c"]]:
    """Numbers `first` to `end` − 1, so many at a time that a matrix of them and `columns` has at
    most `CELLS` cells."""
    size = max(1, CELLS // max(1, columns))
    for a in range(first, end, size):
        yield np.arange(a, min(a + size, end))


def of_seeds(
    decoder: Float[np.ndarray, "f d"],
    other_decoders: Sequence[Float[np.ndarray, "g d"]],
    threshold: float,
) -> Arrays:
    """How far features recur in other dictionaries; all rows of length 1.

    Formula: `seed_cosines` max_j cos(d, e_j); `seeds` the number of dictionaries with a cosine of
    at least `threshold`
    """
    cosines = np.zeros((len(decoder), len(other_decoders)))
    for i, other in enumerate(other_decoders):
        for chunk in _chunks(0, len(decoder), len(other)):
            cosines[chunk, i] = (decoder[chunk] @ other.T).max(1)
    return {"seeds": (cosines >= threshold).sum(1).astype(np.int32), "seed_cosines": cosines}


@dataclass(frozen=True, eq=False)
class Activations:
    """Firings of all features at some rows of the text, as a sparse matrix."""

    matrix: scipy.sparse.csc_matrix

    @property
    def rows(self) -> int:
        """Tokens that correlations are worked out from."""
        return int(self.matrix.shape[0])

    @cached_property
    def by_row(self) -> scipy.sparse.csr_matrix:
        """The matrix stored row by row, as products with it need it."""
        return self.matrix.tocsr()

    @cached_property
    def moments(self) -> Moments:
        """Sums over its rows."""
        return Moments.of(self.matrix)


@dataclass(frozen=True, eq=False)
class Moments:
    """What a correlation needs of each column."""

    total: Float[np.ndarray, " n"]
    square: Float[np.ndarray, " n"]
    centred: Float[np.ndarray, " n"]
    """Σ (a − ā)²; ∞ where a column does not vary, so that its correlations are 0."""

    @classmethod
    def of(cls, columns: scipy.sparse.csc_matrix) -> Moments:
        """Work them out in the precision of the columns."""
        total = np.asarray(columns.sum(0)).ravel()
        square = np.asarray(columns.multiply(columns).sum(0)).ravel()
        centred = np.maximum(square - total * total / columns.shape[0], 0)
        return cls(total, square, np.where(centred > 1e-10 * square, centred, np.inf))

    def part(self, rows: slice) -> Moments:
        """Take those of some columns."""
        return Moments(self.total[rows], self.square[rows], self.centred[rows])


def activations(firings: Firings, features: int) -> Activations:
    """Firings of at most `MOST` in all, of an even sample of windows."""
    windows = len(firings.tokens)
    share = min(1.0, MOST / max(1, firings.count))
    used = np.diff(np.floor(share * np.arange(windows + 1) + 1e-9)) > 0
    row_mask = (firings.kept & used[:, None]).ravel()
    feature, row, value = firings.rows(row_mask)
    place = np.cumsum(row_mask) - 1
    matrix = scipy.sparse.csc_matrix(
        (value.astype(np.float64), (place[row], feature)), shape=(int(row_mask.sum()), features)
    )
    return Activations(matrix)


def correlated(acts: Activations, first: int, end: int) -> Arrays:
    """Features whose activations go with those of features `first` to `end` − 1: rows of
    `neighbours`.

    Formula: Pearson's ρ over all rows, zeros included, and the uncentred cosine Σab/(‖a‖‖b‖), in
    float64; a column that does not vary has ρ = 0; a feature is no neighbour of itself
    """
    neighbour_tables = []
    for chunk in _chunks(first, end, acts.matrix.shape[1]):
        products = (acts.matrix[:, chunk[0] : chunk[-1] + 1].T @ acts.by_row).tocsr()
        neighbour_tables.append(_nearest(products, acts, chunk))
    return concatenate_tables(neighbour_tables)


def _nearest(
    products: scipy.sparse.csr_matrix, acts: Activations, features: Int[np.ndarray, " f"]
) -> Arrays:
    """The features of largest ρ with each that varies, one at a time: memory holds no dense matrix
    of correlations."""
    moments, n = acts.moments, len(acts.moments.total)
    x = moments.part(slice(features[0], features[-1] + 1))
    count = min(COMPANIONS, n - 1)
    varying = np.flatnonzero(np.isfinite(x.centred))
    other, pearson, cosine = (
        np.zeros((len(varying), count), np.int64),
        *np.zeros((2, len(varying), count)),
    )
    for k, i in enumerate(varying.tolist()):
        stored = slice(*products.indptr[i : i + 2])
        columns, product = products.indices[stored], products.data[stored]
        rho = _pearson(product, acts.rows, x, i, moments, columns)
        rho[columns == features[i]] = -np.inf
        if (
            (rho > 0).sum() < count
        ):  # where nothing is on with it ρ is at most 0, so those columns only count here
            row = np.zeros(n)
            row[columns] = product
            columns, product = np.arange(n), row
            rho = _pearson(product, acts.rows, x, i, moments, columns)
            rho[features[i]] = -np.inf
        reach = (
            np.flatnonzero(rho >= np.partition(rho, -count)[-count])
            if count
            else np.zeros(0, np.int64)
        )
        best = reach[np.lexsort((columns[reach], -rho[reach]))[:count]]
        other[k], pearson[k] = columns[best], rho[best]
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine[k] = np.nan_to_num(
                product[best] / np.sqrt(x.square[i] * moments.square[other[k]])
            )
    return _rows("feature", features[varying], other, cosine=cosine, pearson=pearson)


def _pearson(
    product: np.ndarray, rows: int, x: Moments, i: int, y: Moments, columns: np.ndarray
) -> np.ndarray:
    return np.asarray(
        (product - x.total[i] * y.total[columns] / rows)
        / np.sqrt(x.centred[i] * y.centred[columns])
    )


def _rows(kind: str, features: np.ndarray, other: np.ndarray, **columns: np.ndarray) -> Arrays:
    n, count = other.shape
    table = {
        "feature": np.repeat(features, count).astype(np.int32),
        "kind": np.repeat([kind], n * count),
        "rank": np.tile(np.arange(count), n).astype(np.int32),
        "other": other.ravel().astype(np.int32),
    }
    nothing = np.full(n * count, np.nan)
    flat = {name: values.ravel().astype(np.float64) for name, values in columns.items()}
    return table | {name: flat.get(name, nothing) for name in ("cosine", "pearson")}


def concatenate_tables(tables: Sequence[Arrays]) -> Arrays:
    """Put the rows of tables of the same columns one after the other."""
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
