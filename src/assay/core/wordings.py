"""Wordings: which texts are the same but for their spelling, or but for a few words in one place,
so that what is measured on them may be alike."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from assay.core.heavy import scipy

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
    text, size, start, frame = _frames(words)
    of, count = np.unique(frame, return_inverse=True, return_counts=True)[1:]
    # around words that no other text is filled around, there is no place that is filled
    shared = np.flatnonzero(count[of] > 1)
    shape = (len(words), len(count))
    links = scipy.sparse.coo_array((np.ones(len(shared)), (text[shared], of[shared])), shape)
    both = scipy.sparse.block_array([[None, links], [links.T, None]])
    wording = scipy.sparse.csgraph.connected_components(both)[1][: len(words)]
    usual = shared[np.lexsort((shared, -count[of[shared]], text[shared]))]
    around, filled = [-1] * len(words), [*words]
    for i in usual[np.unique(text[usual], return_index=True)[1]].tolist():
        t, at = text[i], start[i]
        around[t], filled[t] = of[i], words[t][at : at + size[i]]
    filling = [spelling(" ".join(x)) for x in filled]  # tea; is tea
    return numbered(wording.tolist()), numbered(around), numbered(filling)


def _shared_place(words: Sequence[Sequence[str]], of: np.ndarray) -> str:
    """Whether texts of each group share more words at their beginning than all texts do, and none
    at their ending, or the reverse; "" where neither is so."""
    groups = defaultdict[int, list](list)
    for split, k in zip(words, of.tolist(), strict=True):
        groups[k].append(split)
    several = [group for group in groups.values() if len(group) > 1]
    of_all = {step: _in_common(words, step) for step in (1, -1)}
    first, last = ([_in_common(g, step) - n for g in several] for step, n in of_all.items())
    if not several or bool(min(first)) == bool(min(last)) or (max(first) and max(last)):
        return ""
    return "beginning" if min(first) else "ending"


def _in_common(texts: Sequence[Sequence[str]], step: int) -> int:
    """How many words texts have in common, from the first on, or from the last one backwards."""
    columns = zip(*(text[::step] for text in texts), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda column: len({*column}) == 1, columns))


def _frames(words: Sequence[Sequence[str]]) -> np.ndarray:
    """Each place that may be filled in each text: which text, how many words fill it, where, and
    the number of what is around it."""
    before, after = dict[tuple, int](), dict[tuple, int]()
    found = [np.empty((5, 0), dtype=int)]
    for i, split in enumerate(words):
        if len(split) <= LONGEST:
            first, last = _ends(split, before), _ends(split[::-1], after)[::-1]
            for size in range(1, SLOT + 1):
                if (common := len(split) - size) >= max(FEWEST_COMMON, size + 1):
                    each, at = np.ones(common + 1, dtype=int), np.arange(common + 1)
                    found.append(np.stack([i * each, size * each, at, first[at], last[at + size]]))
    text, size, start, first, last = np.concatenate(found, 1)
    return np.stack([text, size, start, first * (len(after) + 1) + last])


def _ends(words: Sequence[str], known: dict[tuple, int]) -> np.ndarray:
    """Number what a text begins with, up to each of its words."""
    numbers = [0]
    for word in words:
        numbers.append(known.setdefault((numbers[-1], word), len(known) + 1))
    return np.array(numbers)


def numbered(keys: Sequence) -> np.ndarray:
    """Number values from 0, in the order in which they first come."""
    numbers = dict[object, int]()
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=int)
