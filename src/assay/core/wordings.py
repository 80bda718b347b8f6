"""Wordings: which texts are the same but for their spelling, or but for a few words in one place,
so that what is measured on them may be alike."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

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


def shared_words(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Number the groups of texts that have words in common, and of those that fill the rest with
    the same words. Each is named by what its texts share and others do not: beginning, ending, or
    else wording and content.

    Args:
        texts: as many as there are units.
    """
    ways, words = dict[str, np.ndarray](), [spelling(text).split() for text in texts]
    wording, around, filling = _parted(words)
    pairs = {*zip(around.tolist(), filling.tolist(), strict=True)}
    if not wording.any() and len(pairs) == len(words) == (around.max() + 1) * (filling.max() + 1):
        wording = around  # every speaker with every thing, in texts of one wording
    for usual, of in (("wording", wording), ("content", filling)):
        place = _shared_place(words, of)
        ways[usual if place in ways else place or usual] = of
    return ways


def _parted(words: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number the wordings of texts, what is around the words that fill each as it is around those
    of most texts, and these words."""
    members = defaultdict[tuple, list[int]](list)
    for i, split in enumerate(words):
        for frame, _ in _frames(split):
            members[frame].append(i)
    root = [*range(len(words))]
    for several in members.values():
        for i in several[1:]:
            root[_top(root, i)] = _top(root, several[0])
    # around words that no other text is filled around, there is no place that is filled
    shared = [[f for f in _frames(split) if members[f[0]][1:]] for split in words]
    usual = [
        max(frames, key=lambda f: len(members[f[0]]), default=((), tuple(split)))
        for frames, split in zip(shared, words, strict=True)
    ]
    tops = [_top(root, i) for i in range(len(words))]
    filling = [spelling(" ".join(x)) for _, x in usual]  # tea; is tea
    return numbered(tops), numbered([f for f, _ in usual]), numbered(filling)


def _shared_place(words: Sequence[Sequence[str]], of: np.ndarray) -> str:
    """Whether texts of each group share more words at their beginning than all texts do, and none
    at their ending, or the reverse; "" where neither is so."""
    groups = [[w for w, k in zip(words, of, strict=True) if k == g] for g in range(of.max() + 1)]
    several = [group for group in groups if len(group) > 1]
    first, last = (
        [_in_common(g, step) - _in_common(words, step) for g in several] for step in (1, -1)
    )
    if not several or bool(min(first)) == bool(min(last)) or (max(first) and max(last)):
        return ""
    return "beginning" if min(first) else "ending"


def _in_common(texts: Sequence[Sequence[str]], step: int) -> int:
    """How many words texts have in common, from the first on, or from the last one backwards."""
    columns = zip(*(text[::step] for text in texts), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda column: len({*column}) == 1, columns))


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


def numbered(keys: Sequence) -> np.ndarray:
    """Number values from 0, in the order in which they first come."""
    numbers = dict[object, int]()
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=int)
