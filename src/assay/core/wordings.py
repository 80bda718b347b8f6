"""Wordings: which texts are the same but for their spelling, or but for a few words in one place,
so that what is measured on them may be alike."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

SLOT, FEWEST_COMMON, LONGEST = 3, 2, 60
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
    at least two, in common.

    Args:
        texts: as many as there are units.
    Example:
        >>> from assay.core.wordings import wordings
        >>> wording, filling = wordings(["we went to Rome by car", "we went to Bonn by car"])
        >>> [*wording], [*filling]
        ([0, 0], [0, 1])
    """
    wording, _, filling = _parted([spelling(text).split() for text in texts])
    return wording, filling


def _parted(words: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the wordings of texts, what is around the words that fill each as it is around those
    of most texts, and these words."""
    shared, members = _frames(words), defaultdict[int, list[int]](list)
    for i, frames in enumerate(shared):
        for frame, _ in frames:
            members[frame].append(i)
    root = [*range(len(words))]
    for several in members.values():
        for i in several[1:]:
            root[_top(root, i)] = _top(root, several[0])
    usual = [
        max(frames, key=lambda f: len(members[f[0]]), default=(-1, tuple(split)))
        for frames, split in zip(shared, words, strict=True)
    ]
    tops = [_top(root, i) for i in range(len(words))]
    filling = [spelling(" ".join(x)) for _, x in usual]  # tea; is tea
    return numbered(tops), numbered([f for f, _ in usual]), numbered(filling)


def _frames(texts: Sequence[Sequence[str]]) -> list[list[tuple[int, tuple[str, ...]]]]:
    """Number what is around each place of a text that may be filled, where another text has the
    same around, and give what fills it there."""
    before, after = _beginnings(texts), _beginnings([split[::-1] for split in texts])
    places = []
    for split, first, last in zip(texts, before, after, strict=True):
        of_text = list[tuple[int, int, int]]()
        for size in range(1, SLOT + 1):
            rest = len(split) - size
            if rest < max(FEWEST_COMMON, size + 1) or len(split) > LONGEST:
                break
            starts = range(max(0, rest + 1 - len(last)), min(rest + 1, len(first)))
            of_text += [((first[i] << 32) + last[rest - i], i, size) for i in starts]
        places.append(of_text)
    counts = Counter(frame for of_text in places for frame, _, _ in of_text)
    return [
        [(f, tuple(split[i : i + size])) for f, i, size in of_text if counts[f] > 1]
        for split, of_text in zip(texts, places, strict=True)
    ]


def _beginnings(texts: Sequence[Sequence[str]]) -> list[list[int]]:
    """Number the first words of each text, from none of them to as many as another text has, too:
    what is alike has one number."""
    numbers = dict[tuple[int, str], int]()

    def longer(beginning: int, word: str) -> int:
        return numbers.setdefault((beginning, word), len(numbers) + 1)

    every = [[*itertools.accumulate(split, longer, initial=0)] for split in texts]
    counts = Counter(itertools.chain.from_iterable(every))
    return [[*itertools.takewhile(lambda n: counts[n] > 1, of_text)] for of_text in every]


def _top(root: list[int], i: int) -> int:
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


def numbered(keys: Sequence) -> np.ndarray:
    """Number values from 0, in the order in which they first come."""
    numbers = dict[object, int]()
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=int)
