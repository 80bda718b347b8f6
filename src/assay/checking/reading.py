"""Reading: ridge regression from what a probe reads, out of fold by whole groups, and how well its
scores tell two labels apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.ask.measure.probe_fits import RIDGES
from assay.controls.texts import PLACED, Counts, as_columns, lengths, words_of
from assay.features.linear_probe import INNER, folds, stratified_folds

FOLDS, DECIMALS = 5, 9
"""Folds of which each is judged by what the others tell, and decimals of a score: what differs by
rounding alone is equal."""
Kernel = Callable[[Int[np.ndarray, " n"]], Float[np.ndarray, "row row"]]
"""The rows that are learned from → inner products of all rows."""
Parts = list[tuple[np.ndarray, np.ndarray]]
"""Rows that are learned from, and rows that are judged by what was learned."""


def of_columns(x: Float[np.ndarray, "row d"]) -> Kernel:
    """Inner products of columns, each less its mean over its deviation in the rows that are learned
    from."""

    def kernel(train: Int[np.ndarray, " n"]) -> Float[np.ndarray, "row row"]:
        # in float32, equal rows would get scores that differ by rounding
        scale = x[train].std(0, dtype=float)
        keep = scale > 1e-9 * max(float(scale.max(initial=0)), 1e-300)
        z = (x[:, keep] - x[train][:, keep].mean(0, dtype=float)) / scale[keep]
        return np.asarray(z @ z.T)

    return kernel


def of_counts(rows: Sequence[Counts]) -> Kernel:
    """Inner products of what is counted in texts."""
    return of_columns(as_columns(rows)[1])


def bag(texts: Sequence[str]) -> Kernel:
    """Inner products of how often each word occurs in a text."""
    words = [words_of(text) for text in texts]
    index = {w: i for i, w in enumerate(dict.fromkeys(w for each in words for w in each))}
    counts = np.zeros((len(texts), max(1, len(index))), np.float32)
    for row, each in zip(counts, words, strict=True):
        np.add.at(row, [index[w] for w in each], 1)
    return of_columns(counts)


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
    of_lengths = of_columns(lengths(texts))
    return lambda train: same + of_lengths(train)


def has_one_label_each(groups: np.ndarray, y: Bool[np.ndarray, " row"]) -> bool:
    """Whether every group has rows of one label only."""
    return len(np.unique(np.stack([groups, y]), axis=1).T) == len(np.unique(groups))


def even_folds(groups: np.ndarray, y: Bool[np.ndarray, " row"]) -> int:
    """The number of folds that have equally many groups of each label; 0 if there is none."""
    counts = [len(np.unique(groups[y == label])) for label in (False, True)]
    return max((k for k in range(3, FOLDS + 1) if not any(n % k for n in counts)), default=0)


def parts_of(groups: Sequence[object], y: Bool[np.ndarray, " row"], dealing: int = 0) -> Parts:
    """Deal whole groups out to folds, each judged by what is learned from the others; another
    dealing gives other folds. Where each group has one label, every fold gets equally many groups
    of each if possible: a fold that has more of one label is scored by what was learned from more
    of the other, so below chance."""
    names = np.unique(np.array([str(g) for g in groups]), return_inverse=True)[1]
    k = min(FOLDS, int(names.max()) + 1)
    if has_one_label_each(names, y):
        fold = stratified_folds(names, y.astype(int), even_folds(names, y) or k, dealing)
    else:
        fold = folds(names, k, dealing)
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
) -> Float[np.ndarray, " row"]:
    """Score each judged row, above 0 for yes; NaN where a row is not judged. The penalty is chosen
    within the rows that are learned from, by folds of whole groups, of this dealing; `whose` says
    whose label each of these gets.

    All probes have the same mean over all rows. Where a fold has more of one label, the others have
    more of the other, and a probe that read nothing would predict that: an AUROC over all folds
    would be below chance."""
    result = np.full(len(y), np.nan)
    target, every = np.where(y, 1.0, -1.0), np.arange(len(y))
    for train, test in parts:
        k, labels = kernel(train), target.copy()
        labels[train] = target[whose(train)]
        inner = np.unique(groups[train], return_inverse=True)[1]
        fold = folds(inner, min(INNER, int(inner.max()) + 1), dealing)
        loss = np.zeros(len(RIDGES))
        for j in range(int(fold.max()) + 1):
            part, validation = train[fold != j], train[fold == j]
            loss += ((_ridge(k, labels, part, validation) - labels[validation]) ** 2).sum(1)
        predicted = _ridge(k, labels, train, every)[loss.argmin()]
        result[test] = (predicted - predicted.mean() + target.mean())[test]
    return np.round(result, DECIMALS)


def _ridge(
    k: Float[np.ndarray, "row row"],
    y: Float[np.ndarray, " row"],
    train: Int[np.ndarray, " n"],
    held: Int[np.ndarray, " m"],
) -> Float[np.ndarray, "penalty m"]:
    """Predict held rows with each penalty, from inner products with the rows learned from."""
    inside, across = k[np.ix_(train, train)], k[np.ix_(held, train)]
    mean = inside.mean(0)
    across = across - mean - across.mean(1, keepdims=True) + mean.mean()
    inside = inside - mean - mean[:, None] + mean.mean()
    values, vectors = np.linalg.eigh(inside)
    penalties = np.array(RIDGES)[:, None] * max(float(np.trace(inside)) / len(train), 1e-12)
    weights = (vectors.T @ (y[train] - y[train].mean())) / (np.maximum(values, 0) + penalties)
    return np.asarray(y[train].mean() + weights @ (across @ vectors).T)


def measures(
    score: Float[np.ndarray, " row"], y: Bool[np.ndarray, " row"]
) -> Float[np.ndarray, " measure"]:
    """Measure accuracy and AUROC; the AUROC of rows of one label is not a number.

    Range: 0 to 1, each; of AUROC .5 is chance.
    Better: higher.

    Args:
        score: above 0 for yes.
        y: what is true.
    """
    return np.array([np.mean((score > 0) == y), _auroc(score, y)])


def _auroc(score: np.ndarray, y: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
    s, yes = score[order], y[order]
    ends = np.flatnonzero(np.append(np.diff(s) != 0, True))  # ties count as one step
    true = np.concatenate([[0.0], np.cumsum(yes)[ends]])
    false = np.concatenate([[0.0], np.cumsum(~yes)[ends]])
    if not (true[-1] and false[-1]):
        return float("nan")
    return float(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum() / (true[-1] * false[-1]))


def pseudo_values(
    score: Float[np.ndarray, " row"], y: Bool[np.ndarray, " row"], groups: Int[np.ndarray, " row"]
) -> Float[np.ndarray, "group measure"]:
    """Give each group its part in accuracy and AUROC: G times the whole, less G − 1 times what is
    left without it. Their mean is the measure, and their spread that of groups.

    Source: Tukey (1958), the jackknife's pseudo-values
    """
    names, count = np.unique(groups), len(np.unique(groups))
    whole = measures(score, y)
    values = []
    for name in names:
        others = groups != name
        values.append(count * whole - (count - 1) * measures(score[others], y[others]))
    return np.round(np.array(values), 12)


def of_folds(
    score: Float[np.ndarray, " row"], y: Bool[np.ndarray, " row"], fold: Int[np.ndarray, " row"]
) -> Float[np.ndarray, "fold measure"]:
    """Measure accuracy and AUROC in each fold by itself."""
    names = np.unique(fold)
    return np.array([measures(score[fold == k], y[fold == k]) for k in names])
