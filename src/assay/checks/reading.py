"""Reading: rows with two labels, in groups, scored by probes that have learned from other groups;
the part of each group in how well the scores tell the labels; and what could be read of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone, is_classifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.multioutput import MultiOutputRegressor

from assay.controls import vectors
from assay.errors import DataError
from assay.train import rng

FOLDS, LEAST = 5, 3
"""Folds at most, and at least."""
DEALINGS, MANY = 5, 500
"""In how many ways groups are dealt out to folds; of more rows than so many in one way."""

Columns = tuple[list[str], np.ndarray]
"""The names of what is counted, and the counts, [text, name]."""
FROM_EACH_END = 8
"""So many words have a place, from the first and from the last."""
COMMON = 0.03
"""The share of texts in which something has to be, and in two at least, to be learned from."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to read, in an order that depends on what is in them alone.

    Attributes:
        texts: empty where there are none.
        order: the place of each row in what was given.
        merged: how many groups were joined to others, with which they share a text or a row.
    """

    x: np.ndarray
    y: np.ndarray
    group: np.ndarray
    texts: Sequence[str]
    order: np.ndarray
    merged: int

    @classmethod
    def read(cls, X: Any, y: Any, groups: Any, texts: Sequence[str] | None) -> Rows:
        """Read and check rows. Raises: DataError (wrong-length, no-activations, two-labels,
        few-groups)."""
        x, said = vectors.as_numpy(X).astype(float), [*map(str, texts or [""] * len(X))]
        for name, given in (("y", y), ("groups", groups), ("texts", said)):
            if len(given) != len(x):
                raise DataError("wrong-length", f"{name} has {len(given)} for {len(x)} rows of X")
        if x.ndim != 2 or not np.isfinite(x).all():
            raise DataError("no-activations", "X is not [row, d] of finite numbers")
        kinds, label = np.unique(np.asarray(y), return_inverse=True)
        if len(kinds) != 2:
            raise DataError("two-labels", f"y has {len(kinds)} labels; a probe tells two apart")
        stated = np.unique([str(g) for g in groups], return_inverse=True)[1]
        row = [values.tobytes() for values in np.round(x, 6) + 0.0]
        words = [" ".join(text.casefold().split()) or i for i, text in enumerate(said)]
        group = joined(stated, row, words)
        if (fewest := min(len({*group[label == k]}) for k in (0, 1))) < LEAST:
            raise DataError("few-groups", f"a label is in {fewest} groups; {LEAST} are needed")
        keys = [*zip(stated, said, row, label, strict=True)]
        order = np.array(sorted(range(len(x)), key=keys.__getitem__))
        texts = [said[i] for i in order] if texts is not None else []
        merged = int(stated.max() - group.max())
        return cls(x[order], label[order] == 1, pd.factorize(group[order])[0], texts, order, merged)

    def folds(self) -> np.ndarray:
        """The fold of each row, [way, row]; no group is in two."""
        fewest = min(len({*self.group[self.y == k]}) for k in (False, True))
        ways = np.zeros((DEALINGS if len(self.y) <= MANY else 1, len(self.y)), int)
        for way, fold in enumerate(ways):
            dealt = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=way)
            for k, (_, held) in enumerate(dealt.split(self.x, self.y, self.group)):
                fold[held] = k
        return ways

    def shuffled(self, draw: int) -> np.ndarray:
        """The labels in another order: of whole groups where each has one label, else of rows."""
        pure = len({*zip(self.group, self.y, strict=True)}) == self.group.max() + 1
        by = self.group if pure else np.arange(len(self.y))
        first = np.unique(by, return_index=True)[1]
        order = rng.permutation(np.array([draw]), "checks.permuted", 0, len(first))[0]
        return self.y[first][order][by]


def joined(*keys: Any) -> np.ndarray:
    """Groups of rows that have any of several keys in common."""
    group, before = pd.Series(np.arange(len(keys[0]))), pd.Series(dtype=int)
    while not group.equals(before):
        before = group
        for key in keys:
            group = group.groupby(pd.Series(key), sort=False).transform("min")
    return np.unique(group, return_inverse=True)[1]


def scores(probe: Any, x: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Score every row by probes that have learned labels, [draw, row], from the other folds: above
    0 for yes, [draw, way, row]."""
    out = np.empty((len(labels), *folds.shape))
    for way, fold in enumerate(folds):
        for k in np.unique(fold):
            out[:, way, fold == k] = _learned(probe, x, labels, fold != k)[:, fold == k]
    return np.round(out, 10)  # rows that are equal have equal scores


def _learned(probe: Any, x: np.ndarray, labels: np.ndarray, train: np.ndarray) -> np.ndarray:
    """What probes of each way of labels say of all rows. Those of a regressor have one mean over
    the rows: where a fold has more of one label the others have less."""
    if is_classifier(probe):
        made = [clone(probe).fit(x[train], y[train]) for y in labels]
        if hasattr(made[0], "decision_function"):
            return np.array([fit.decision_function(x) for fit in made])
        return np.array([fit.predict_proba(x)[:, 1] - 0.5 for fit in made])
    signs, each = np.where(labels, 1.0, -1.0).T, MultiOutputRegressor(probe)
    try:
        found = clone(probe if len(labels) > 1 else each).fit(x[train], signs[train]).predict(x)
    except ValueError:  # of an estimator that takes one target alone
        found = each.fit(x[train], signs[train]).predict(x)
    return np.asarray((found - found.mean(0) + signs.mean(0)).T)


def parts(
    score: np.ndarray, y: np.ndarray, folds: np.ndarray, group: np.ndarray
) -> dict[str, np.ndarray]:
    """The part of each group in the AUROC and the accuracy of scores, [way, row]: jackknife
    pseudo-values, shifted so that their mean is the measure.

    The AUROC is that of pairs of rows of one fold: each fold is learned from where another is
    judged, so that their errors go together, and noise would be below chance.

    Source: Airola et al. 2009; Tukey 1958.
    """
    rows, right = np.bincount(group), ((score > 0) == y).mean(0)
    won, of, every = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(2)
    for s, fold in zip(score, folds, strict=True):
        for k in np.unique(fold):
            yes, no = np.flatnonzero((fold == k) & y), np.flatnonzero((fold == k) & ~y)
            above = np.sign(s[yes][:, None] - s[no]) / 2 + 0.5
            other = group[yes][:, None] != group[no]  # else it is counted for the positive row
            for out, x in ((won, above), (of, np.ones_like(above))):
                out += np.bincount(group[yes], x.sum(1), len(rows))
                out += np.bincount(group[no], (x * other).sum(0), len(rows))
            every += above.sum(), above.size
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = every[0] / every[1], (every[0] - won) / (every[1] - of)
    accuracy = right.mean(), (right.sum() - np.bincount(group, right)) / (len(y) - rows)
    found = {}
    for name, (whole, left) in {"auroc": auroc, "accuracy": accuracy}.items():
        values = len(rows) * whole - (len(rows) - 1) * left
        found[name] = np.round(values + whole - values.mean(), 12)
    return found


# ---- what could be read of texts in place of what a model makes of them --------------------------


def readers(texts: Sequence[str]) -> dict[str, Columns]:
    """By control what it counts in each text."""
    words = CountVectorizer(token_pattern=r"\w+|[^\w\s]").build_analyzer()
    each = [words(text) for text in texts]
    things = {
        "bag": each,
        "places": [_places(w) for w in each],
        "spelling": [[*text, *(f"-{w[-2:]}" for w in text.split())] for text in texts],
        "pairs": [[*map(" ".join, zip(["^", *w], [*w, "$"], strict=True))] for w in each],
    }
    sizes = np.array([[len(text), len(w)] for text, w in zip(texts, each, strict=True)], float)
    names = ["characters", "words", "log of characters", "log of words"]
    found = {"lengths": (names, np.hstack([sizes, np.log1p(sizes)]))}
    for control, listed in things.items():
        counter = CountVectorizer(analyzer=list)
        counts = counter.fit_transform(listed).toarray().astype(float)
        kept = (counts > 0).sum(0) >= max(2, COMMON * len(texts))
        if kept.any():
            found[control] = [*counter.get_feature_names_out()[kept]], counts[:, kept]
    return found


def _places(words: Sequence[str]) -> list[str]:
    """Each word with its place from the first or from the last."""
    first = [f"{w} at {k}" for k, w in enumerate(words[:FROM_EACH_END], 1)]
    return first + [f"{w} at {-k}" for k, w in enumerate(words[: -FROM_EACH_END - 1 : -1], 1)]


def telling(columns: Columns, y: np.ndarray) -> tuple[str, float]:
    """The one thing that tells the labels best by itself, and its AUROC."""
    names, x = columns
    ranks, n = stats.rankdata(x, axis=0), int(y.sum())
    aurocs = (ranks[y].mean(0) - (n + 1) / 2) / (len(y) - n)
    best = int(np.abs(aurocs - 0.5).argmax())
    return names[best], float(max(aurocs[best], 1 - aurocs[best]))
