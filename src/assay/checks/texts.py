"""Texts: what a probe could read of a text in place of what a model makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer

Columns = tuple[list[str], np.ndarray]
"""The names of what is counted, and the counts, [text, name]."""
FROM_EACH_END = 8
"""So many words have a place, from the first and from the last."""
LEAST = 0.03
"""The share of texts in which something has to be, and in two at least, to be learned from."""


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
        kept = (counts > 0).sum(0) >= max(2, LEAST * len(texts))
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
