"""Texts: what a probe could read of a text in place of what a model makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer

WORD = r"\w+|[^\w\s]"
FROM_EACH_END = 8
"""So many words have a place, from the first and from the last."""
LEAST = 0.03
"""The share of texts in which something has to be, and in two at least, to be learned from."""
Columns = tuple[list[str], np.ndarray]
"""The names of what is counted, and the counts, [text, name]."""


def readers(texts: Sequence[str]) -> dict[str, Columns]:
    """By control what it counts in each text."""
    words = CountVectorizer(token_pattern=WORD).build_analyzer()
    analyzers = {
        "bag": words,
        "places": lambda text: _places(words(text)),
        "spelling": lambda text: [
            *text,
            *(f"-{word[-2:]}" for word in text.split()),
            *_kinds(text),
        ],
        "pairs": lambda text: [
            " ".join(x) for x in zip(["^", *words(text)], [*words(text), "$"], strict=True)
        ],
    }
    sizes = np.array([[len(text), len(words(text))] for text in texts], float)
    names = ["characters", "words", "log of characters", "log of words"]
    found = {"lengths": (names, np.hstack([sizes, np.log1p(sizes)]))}
    for control, analyzer in analyzers.items():
        counter = CountVectorizer(analyzer=analyzer)
        counts = counter.fit_transform(texts).toarray().astype(float)
        kept = (counts > 0).sum(0) >= max(2, LEAST * len(texts))
        if kept.any():
            found[control] = [*counter.get_feature_names_out()[kept]], counts[:, kept]
    return found


def _places(words: Sequence[str]) -> list[str]:
    """Each word with its place from the first or from the last."""
    first = [f"{w} at {k}" for k, w in enumerate(words[:FROM_EACH_END], 1)]
    return first + [f"{w} at {-k}" for k, w in enumerate(words[: -FROM_EACH_END - 1 : -1], 1)]


def _kinds(text: str) -> list[str]:
    """Kinds of characters."""
    kinds = {"a capital": str.isupper, "a digit": str.isdigit}
    return [kind for kind, of in kinds.items() for c in text if of(c)]


def telling(columns: Columns, y: np.ndarray) -> tuple[str, float]:
    """The one thing that tells the labels best by itself, and its AUROC."""
    names, x = columns
    ranks, n = stats.rankdata(x, axis=0), int(y.sum())
    aurocs = (ranks[y].mean(0) - (n + 1) / 2) / (len(y) - n)
    best = int(np.abs(aurocs - 0.5).argmax())
    return names[best], float(max(aurocs[best], 1 - aurocs[best]))
