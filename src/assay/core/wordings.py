"""Wordings: which texts are the same but for their spelling, or but for a few words in one place,
so that what is measured on them may be alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

SLOT, FEWEST_COMMON, LONGEST = 3, 3, 60
"""Words that texts of one wording may differ by, those that they have in common at least, and the
longest texts, in words, that are compared."""


def spelling(text: str) -> str:
    """Give a text without what only spelling makes different: case, spaces, punctuation at its
    ends.

    Args:
        text: any.
    Example:
        >>> from assay.core.wordings import spelling
        >>> spelling(" The  cat sat.") == spelling("the cat sat")
        True
    """
    return " ".join(text.casefold().split()).strip(" .,;:!?\"'") or text


def wordings(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Number the wordings of texts, and what each wording is filled with: both from 0.

    Two texts have one wording where they differ in up to three words in a row and have more words,
    at least three, in common.

    Args:
        texts: as many as there are units.
    Example:
        >>> from assay.core.wordings import wordings
        >>> wording, filling = wordings(["we went to Rome by car", "we went to Bonn by car"])
        >>> [*wording], [*filling]
        ([0, 0], [0, 1])
    """
    words = [spelling(text).split() for text in texts]
    members = defaultdict[tuple, list[int]](list)
    for i, split in enumerate(words):
        for frame, _ in _frames(split):
            members[frame].append(i)
    root = [*range(len(texts))]
    for several in members.values():
        for i in several[1:]:
            root[_top(root, i)] = _top(root, several[0])
    filling = [
        max(_frames(split), key=lambda f: len(members[f[0]]), default=((), tuple(split)))[1]
        for split in words
    ]
    return _numbered([_top(root, i) for i in range(len(texts))]), _numbered(filling)


def _frames(words: Sequence[str]) -> Iterator[tuple[tuple, tuple[str, ...]]]:
    """What is around each place that may be filled, and what fills it there."""
    for size in range(1, SLOT + 1):
        common = len(words) - size
        if common < max(FEWEST_COMMON, size + 1) or len(words) > LONGEST:
            return
        for start in range(common + 1):
            yield (
                (tuple(words[:start]), tuple(words[start + size :])),
                tuple(words[start : start + size]),
            )


def _top(root: list[int], i: int) -> int:
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


def _numbered(keys: Sequence) -> np.ndarray:
    numbers = dict[object, int]()
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=int)
