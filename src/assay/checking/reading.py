"""Reading: ridge regression from what a probe reads, out of fold by whole groups, and how well its
scores tell two labels apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.ask.measure.probe_fits import DECIMALS, RIDGES
from assay.ask.telling import PLACED, Counts, as_columns, lengths, words_of
from assay.core.heavy import torch
from assay.features.linear_probe import INNER, correlations, folds, stratified_folds

FEWEST, FOLDS = 3, 5
"""At least and at most so many folds, of which each is judged by what the others tell."""
Kernel = Callable[[Int[np.ndarray, " n"]], Float[np.ndarray, "row row"]]
"""The rows that are learned from → inner products of all rows."""
Parts = list[tuple[np.ndarray, np.ndarray]]
"""Rows that are learned from, and rows that are judged by what was learned."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Inner products of columns, each less its mean over its deviation in the rows that are learned
    from."""

    x: Float[np.ndarray, "row d"]

    def __call__(self, train: Int[np.ndarray, " n"]) -> Float[np.ndarray, "row row"]:
        z = self.scaled(train)
        return np.asarray(z @ z.T)

    def scaled(self, train: Int[np.ndarray, " n"]) -> Float[np.ndarray, "row d"]:
        """Scale the columns; those that do not vary are 0."""
        # in float32, equal rows would get scores that differ by rounding
        scale = self.x[train].std(0, dtype=float)
        varies = scale > 1e-9 * max(float(scale.max(initial=0)), 1e-300)
        return (self.x - self.x[train].mean(0, dtype=float)) / np.where(varies, scale, np.inf)


def of_counts(rows: Sequence[Counts]) -> Kernel:
    """Inner products of what is counted in texts."""
    return Columns(as_columns(rows)[1])


def bag(texts: Sequence[str]) -> Kernel:
    """Inner products of how often each word occurs in a text."""
    words = [words_of(text) for text in texts]
    index = {w: i for i, w in enumerate(dict.fromkeys(w for each in words for w in each))}
    counts = np.zeros((len(texts), max(1, len(index))), np.float32)
    for row, each in zip(counts, words, strict=True):
        np.add.at(row, [index[w] for w in each], 1)
    return Columns(counts)


def places(texts: Sequence[str]) -> Kernel:
    """Inner products of which word is at each place, from the first and from the last word, and
    of lengths: at how many places two texts have the same word."""
    words = [words_of(text) for text in texts]
    codes = {w: i + 1 for i, w in enumerate(dict.fromkeys(w for each in words for w in each))}
    same = np.zeros((len(texts), len(texts)))
    for place in PLACED:
        inside = (place if place >= 0 else -place - 1,)
        code = np.array([codes[w[place]] if len(w) > inside[0] else 0 for w in words])
        same += (code[:, None] == code) & (code > 0)
    of_lengths = Columns(lengths(texts))
    return lambda train: same + of_lengths(train)


def parts_of(groups: Sequence[object], y: Bool[np.ndarray, " row"], dealing: int = 0) -> Parts:
    """Deal whole groups out to folds, each judged by what is learned from the others; another
    dealing gives other folds. Each gets about as many groups of either label, as an AUROC compares
    rows of one fold."""
    names = np.unique(np.array([str(g) for g in groups]), return_inverse=True)[1]
    fewest = min(len(np.unique(names[y == label])) for label in (False, True))
    fold = stratified_folds(names, y.astype(int), max(FEWEST, min(FOLDS, fewest)), dealing)
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(fold.max() + 1)]


def order_of(
    group: Int[np.ndarray, " row"],
    x: Float[np.ndarray, "row d"],
    y: Bool[np.ndarray, " row"],
    texts: Sequence[str] | None,
) -> Int[np.ndarray, " row"]:
    """Order rows by their group, and then by what is in them, so that the order in which they are
    given changes nothing."""
    big = np.ascontiguousarray(x, ">f8")  # of which bytes are in the order of numbers
    words = texts or [""] * len(y)
    keys = [(group[i], words[i], big[i].tobytes(), y[i]) for i in range(len(y))]
    return np.array(sorted(range(len(y)), key=keys.__getitem__))


def scores(
    kernel: Kernel,
    y: Bool[np.ndarray, " row"],
    groups: Int[np.ndarray, " row"],
    parts: Parts,
    dealing: int = 0,
    whose: Callable[[np.ndarray], np.ndarray] = lambda train: train,
    *,
    best: int = 0,
    alone: bool = False,
) -> Float[np.ndarray, "*way row"]:
    """Score each judged row, above 0 for yes; NaN where a row is not judged. The penalty is chosen
    within the rows that are learned from, by folds of whole groups, of this dealing; `whose` says
    whose label each of these gets, in one way or several. So is chosen whether all columns are read
    or only so many of the `best`, unless these are read `alone`.

    All probes have the same mean over all rows. Where a fold has more of one label, the others have
    more of the other, and a probe that read nothing would predict that: its accuracy would be below
    chance."""
    target, every = np.where(y, 1.0, -1.0), np.arange(len(y))
    ways = whose(parts[0][0]).shape[:-1]
    result = np.full((int(np.prod(ways)), len(y)), np.nan)
    for train, test in parts:
        fits = [] if alone else [partial(_ridge, kernel(train))]
        if best and isinstance(kernel, Columns):
            fits.append(partial(_ridge_of_best, kernel.scaled(train), best))
        given = np.atleast_2d(target[whose(train)])
        labels = np.tile(target, (len(given), 1))
        labels[:, train] = given
        inner = np.unique(groups[train], return_inverse=True)[1]
        fold = folds(inner, min(INNER, int(inner.max()) + 1), dealing)
        loss = np.zeros((len(fits) * len(RIDGES), len(given)))
        for j in range(int(fold.max()) + 1):
            part, validation = train[fold != j], train[fold == j]
            off = [fit(labels, part, validation) - labels[:, validation] for fit in fits]
            loss += np.square(np.concatenate(off)).sum(2)
        predicted = np.concatenate([fit(labels, train, every) for fit in fits])
        predicted = predicted[loss.argmin(0), np.arange(len(given))]
        predicted += target.mean() - predicted.mean(1, keepdims=True)
        result[:, test] = predicted[:, test]
    return np.round(result, DECIMALS).reshape(*ways, -1)


def _ridge(
    k: Float[np.ndarray, "row row"],
    y: Float[np.ndarray, "way row"],
    train: Int[np.ndarray, " n"],
    held: Int[np.ndarray, " m"],
) -> Float[np.ndarray, "penalty way m"]:
    """Predict held rows with each penalty, from inner products with the rows learned from."""
    inside, across = k[np.ix_(train, train)], k[np.ix_(held, train)]
    mean = inside.mean(0)
    across = across - mean - across.mean(1, keepdims=True) + mean.mean()
    inside = inside - mean - mean[:, None] + mean.mean()
    values, vectors = np.linalg.eigh(inside)
    penalties = np.array(RIDGES)[:, None, None] * max(float(np.trace(inside)) / len(train), 1e-12)
    level = y[:, train].mean(1, keepdims=True)
    weights = ((y[:, train] - level) @ vectors) / (np.maximum(values, 0) + penalties)
    return np.asarray(level + weights @ (across @ vectors).T)


def _ridge_of_best(
    z: Float[np.ndarray, "row d"],
    count: int,
    y: Float[np.ndarray, "way row"],
    train: Int[np.ndarray, " n"],
    held: Int[np.ndarray, " m"],
) -> Float[np.ndarray, "penalty way m"]:
    """Predict held rows with each penalty, from so many columns: those that tell each way of
    labels best in the rows learned from."""
    best = best_columns(z[train], y[:, train], count)
    inside, across = (z[rows][:, best].swapaxes(0, 1) for rows in (train, held))
    mean, level = inside.mean(1, keepdims=True), y[:, train].mean(1, keepdims=True)
    inside, across = inside - mean, across - mean
    values, vectors = np.linalg.eigh(inside.mT @ inside)
    size = np.maximum(np.square(inside).sum((1, 2)) / len(train), 1e-12)
    penalties = np.array(RIDGES)[:, None, None] * size[:, None]
    along = ((y[:, train] - level)[:, None] @ inside @ vectors)[:, 0]
    weights = along / (np.maximum(values, 0) + penalties)
    return np.asarray(level + np.einsum("pwk,wmk->pwm", weights, across @ vectors))


def best_columns(
    x: Float[np.ndarray, "row d"], y: Float[np.ndarray, "way row"], count: int
) -> Int[np.ndarray, "way k"]:
    """Find so many columns of which the means of both labels are farthest apart, in standard
    deviations of the column: those that correlate most with the labels."""
    r = correlations(*map(torch.from_numpy, (x, np.ascontiguousarray(y.T)))).numpy()
    by_way = -np.round(np.ascontiguousarray(r.T), DECIMALS)
    return np.sort(np.argpartition(by_way, count - 1, axis=1)[:, :count], axis=1)


def measures(
    scores: Float[np.ndarray, "*way row"],
    y: Bool[np.ndarray, " row"],
    fold: Int[np.ndarray, "*way row"] | None = None,
) -> Float[np.ndarray, " measure"]:
    """Measure accuracy and AUROC, over all ways of dealing groups out to folds together; the AUROC
    of rows of one label is not a number.

    Range: 0 to 1, each; of AUROC .5 is chance.
    Better: higher.

    Args:
        scores: above 0 for yes.
        y: what is true.
        fold: within which the AUROC compares rows; without it, it compares all of them.
    """
    right, pairs = _pairs(scores, y, fold, np.zeros(len(y), dtype=np.int64))[:, 0]
    return np.array([np.mean((scores > 0) == y), right / pairs if pairs else np.nan])


def _pairs(
    scores: np.ndarray, y: np.ndarray, fold: np.ndarray | None, group: np.ndarray
) -> Float[np.ndarray, "what group"]:
    """Count for each group, from 0, the pairs of a positive and a negative row of one fold of which
    it has a row: those in which the positive row has the higher score, ties counting half, and all.

    Rows of two folds are not compared: each was learned from where the other was judged, so their
    errors go together, and noise would be below chance.

    Source: Airola et al., A comparison of AUC estimators in small-sample studies (2009)
    """
    result = np.zeros((2, count := int(group.max()) + 1))
    ways = np.atleast_2d(scores), np.atleast_2d(np.zeros_like(scores) if fold is None else fold)
    for score, of in zip(*ways, strict=True):
        for k in np.unique(of):
            yes, no = np.flatnonzero((of == k) & y), np.flatnonzero((of == k) & ~y)
            above = np.sign(score[yes][:, None] - score[no]) / 2 + 0.5
            in_other = group[yes][:, None] != group[no]  # else it is counted for the positive row
            for out, x in zip(result, (above, np.ones_like(above)), strict=True):
                out += np.bincount(group[yes], x.sum(1), count)
                out += np.bincount(group[no], (x * in_other).sum(0), count)
    return result


def pseudo_values(
    scores: Float[np.ndarray, "*way row"],
    y: Bool[np.ndarray, " row"],
    groups: Int[np.ndarray, " row"],
    fold: Int[np.ndarray, "*way row"] | None = None,
) -> Float[np.ndarray, "group measure"]:
    """Give each group its part in accuracy and AUROC: G times the whole, less G − 1 times what is
    left without it. Their mean is the measure, and their spread that of groups.

    By themselves their mean is another number where a pair of rows of one group, which goes with
    that group alone, has a higher AUROC than one of two groups, which goes with either.

    Source: Tukey (1958), the jackknife's pseudo-values
    """
    group = np.unique(groups, return_inverse=True)[1]
    count, whole = int(group.max()) + 1, measures(scores, y, fold)
    rows, correct = np.bincount(group), np.bincount(group, np.atleast_2d((scores > 0) == y).mean(0))
    right, pairs = _pairs(scores, y, fold, group)
    all_right, all_pairs = _pairs(scores, y, fold, 0 * group)[:, 0]
    left = np.where(pairs < all_pairs, all_pairs - pairs, np.nan)
    without = (correct.sum() - correct) / (len(y) - rows), (all_right - right) / left
    parts = count * whole - (count - 1) * np.array(without).T
    return np.round(parts + whole - parts.mean(0), 12)


def of_folds(
    score: Float[np.ndarray, " row"], y: Bool[np.ndarray, " row"], fold: Int[np.ndarray, " row"]
) -> Float[np.ndarray, "fold measure"]:
    """Measure accuracy and AUROC in each fold by itself."""
    names = np.unique(fold)
    return np.array([measures(score[fold == k], y[fold == k]) for k in names])
