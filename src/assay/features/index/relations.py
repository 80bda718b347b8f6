"""How features stand to each other, to neurons and to the features of other dictionaries: by direction and by activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from assay.features.index.firings import Firings
from assay.features.index.schema import ANTIPODAL, COMPANIONS

Arrays = dict[str, np.ndarray]
SPAN = 8
"""Rows of another dictionary whose span is asked how much of a feature it holds."""
LARGEST = 200_000
"""A wider dictionary's rows are not all compared with each other: the work grows with the square of the width."""
MOST = 6_000_000
"""Firings, at most, that correlations are worked out from; of a longer text an even sample of windows."""


def unit(rows: Float[np.ndarray, "f d"]) -> Float[np.ndarray, "f d"]:
    """Rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows, np.float32), where=length > 0).astype(np.float32)


def by_direction(decoder: Float[np.ndarray, "f d"], first: int, end: int) -> tuple[Arrays, Arrays]:
    """Nearest decoder rows of features `first` to `end` − 1, by absolute cosine: rows of `neighbours`, and three columns of `features`.

    `decoder` are unit rows. Formula: cos(d_i, d_j), j ≠ i
    """
    cosine = decoder[first:end] @ decoder.T
    own = np.arange(first, end)
    cosine[np.arange(end - first), own] = 0
    count = min(COMPANIONS, max(0, len(decoder) - 1))
    other = _largest(np.abs(cosine), count)
    near = np.take_along_axis(cosine, other, 1)
    least = cosine.argmin(1)
    lowest = cosine[np.arange(end - first), least]
    table = _rows("decoder", own, other, cosine=near)
    columns = {
        "nearest": other[:, 0] if count else np.full(end - first, -1),
        "nearest_cosine": near[:, 0].astype(np.float64) if count else np.full(end - first, np.nan),
        "antipode": np.where(lowest <= ANTIPODAL, least, -1),
    }
    return table, columns


def of_seeds(decoder: Float[np.ndarray, "f d"], others: Sequence[Float[np.ndarray, "g d"]], threshold: float) -> Arrays:
    """How far features recur in other dictionaries; all rows of length 1.

    Formula: `seed_cosines` max_j cos(d, e_j); `seed_spans` ‖P d‖², P the projector on the span of the eight rows e_j nearest by
    |cos|; `seeds` the number of dictionaries with a cosine of at least `threshold`
    """
    cosines, spans = [], []
    for other in others:
        cosine = decoder @ other.T
        cosines.append(cosine.max(1))
        near = _largest(np.abs(cosine), min(SPAN, len(other)))
        basis = np.linalg.qr(np.swapaxes(other[near], 1, 2).astype(np.float64))[0]
        spans.append((np.einsum("fd,fdk->fk", decoder, basis) ** 2).sum(1))
    found = np.stack(cosines, 1).astype(np.float64)
    return {"seeds": (found >= threshold).sum(1).astype(np.int32), "seed_cosines": found, "seed_spans": np.stack(spans, 1)}


def axes(decoder: Float[np.ndarray, "f d"], first: int) -> Arrays:
    """The largest components of raw decoder rows by magnitude, with their sign and their share of the row's absolute sum."""
    other = _largest(np.abs(decoder), min(COMPANIONS, decoder.shape[1]))
    value = np.take_along_axis(decoder, other, 1).astype(np.float64)
    total = np.abs(decoder).sum(1, dtype=np.float64)[:, None]
    share = np.divide(np.abs(value), total, out=np.zeros_like(value), where=total > 0)
    return _rows("axis", np.arange(first, first + len(decoder)), other, value=value, share=share)


@dataclass(frozen=True, eq=False)
class Activations:
    """Firings of all features at some rows of the text, as a sparse matrix; and neurons at some of those rows."""

    matrix: scipy.sparse.csc_matrix
    neurons: Float[np.ndarray, "r m"] | None
    neuron_rows: Int[np.ndarray, "r"]
    """Rows of `matrix` at which the neurons were read."""

    @property
    def rows(self) -> int:
        """Tokens that correlations are worked out from."""
        return int(self.matrix.shape[0])


def activations(firings: Firings, features: int) -> Activations:
    """Firings of at most `MOST` in all, of an even sample of windows, the windows at which neurons were read first."""
    windows, length = firings.tokens.shape
    read = firings.neurons()
    share = min(1.0, MOST / max(1, firings.count))
    used = np.zeros(windows, bool)
    used[np.diff(np.floor(share * np.arange(windows + 1) + 1e-9)) > 0] = True
    if read is not None:
        used[np.unique(read[0] // length)] = True
    taken = np.flatnonzero((firings.kept & used[:, None]).ravel())
    feature, row, value = (np.concatenate(part) for part in zip(*_runs(firings, used, length), strict=True))
    place = np.searchsorted(taken, row)
    matrix = scipy.sparse.csc_matrix((value.astype(np.float64), (place, feature)), shape=(len(taken), features))
    if read is None:
        return Activations(matrix, None, np.zeros(0, np.int64))
    return Activations(matrix, read[1], np.searchsorted(taken, read[0]))


def _runs(firings: Firings, used: np.ndarray, length: int) -> list[tuple[np.ndarray, ...]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], used.astype(int), [0]])))
    return [firings.rows(int(a) * length, int(b) * length) for a, b in edges.reshape(-1, 2)] or [firings.rows(0, 0)]


def correlated(acts: Activations, first: int, end: int) -> Arrays:
    """Features and neurons whose activations go with those of features `first` to `end` − 1: rows of `neighbours`.

    Formula: Pearson's ρ over all rows, zeros included, and the uncentred cosine Σab/(‖a‖‖b‖), in float64; a column that does not
    vary has ρ = 0; a feature is no neighbour of itself
    """
    block = acts.matrix[:, first:end]
    table = _correlated("feature", acts.matrix, block, np.arange(first, end), own=True)
    if acts.neurons is None:
        return table
    some = block.tocsr()[acts.neuron_rows].tocsc()
    return _joined([table, _correlated("neuron", acts.neurons.astype(np.float64), some, np.arange(first, end), own=False)])


def _correlated(kind: str, y: scipy.sparse.csc_matrix | np.ndarray, x: scipy.sparse.csc_matrix, features: np.ndarray, own: bool) -> Arrays:
    n = x.shape[0]
    sums = [np.asarray(z.sum(0)).ravel() for z in (x, y)]
    squares = [np.asarray((z * z if isinstance(z, np.ndarray) else z.multiply(z)).sum(0)).ravel() for z in (x, y)]
    centred = [np.maximum(q - s * s / n, 0) for s, q in zip(sums, squares, strict=True)]
    vary = [c > 1e-10 * q for c, q in zip(centred, squares, strict=True)]
    products = x.T @ y
    products = np.asarray(products.todense()) if scipy.sparse.issparse(products) else np.asarray(products)
    scale = np.sqrt(np.outer(*[np.where(v, c, np.inf) for v, c in zip(vary, centred, strict=True)]))
    pearson = (products - np.outer(*sums) / n) / scale
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.nan_to_num(products / np.sqrt(np.outer(*squares)))
    ranked = pearson.copy()
    if own:
        ranked[np.arange(len(features)), features] = -np.inf
    other = _largest(ranked, min(COMPANIONS, ranked.shape[1] - own))
    found = _rows(kind, features, other, cosine=np.take_along_axis(cosine, other, 1), pearson=np.take_along_axis(pearson, other, 1))
    varies = np.repeat(vary[0], other.shape[1])
    return {name: column[varies] for name, column in found.items()}


def _largest(values: Float[np.ndarray, "f n"], count: int) -> Int[np.ndarray, "f count"]:
    """Places of the `count` largest of each row, largest first, ties by place."""
    if count == 0:
        return np.zeros((len(values), 0), np.int64)
    some = np.sort(np.argpartition(-values, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(values, some, 1), axis=1, kind="stable")
    return np.take_along_axis(some, order, 1)


def _rows(kind: str, features: np.ndarray, other: np.ndarray, **columns: np.ndarray) -> Arrays:
    n, count = other.shape
    table = {
        "feature": np.repeat(features, count).astype(np.int32), "kind": np.repeat([kind], n * count),
        "rank": np.tile(np.arange(count), n).astype(np.int32), "other": other.ravel().astype(np.int32),
    }  # fmt: skip
    nothing = np.full(n * count, np.nan)
    given = {name: values.ravel().astype(np.float64) for name, values in columns.items()}
    return table | {name: given.get(name, nothing) for name in ("cosine", "pearson", "value", "share")}


def _joined(tables: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


joined = _joined
