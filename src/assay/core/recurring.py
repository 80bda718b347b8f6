"""Recurring words: which divisions of texts their words suggest, such as one of four towns in each
of twenty-four sentences, and which the parts of names do, such as the run in a path.

Words recur by chance, too, so a division counts only where numbers differ between its groups."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from assay.core.nouns import ordinal
from assay.core.table_columns import DATE
from assay.core.wordings import numbered

COVERED, FEWEST_TEXTS, LARGEST = 0.9, 3, 0.8
"""The share of texts that have one of the words of a division, the texts that each of these is in
at least, and the largest share of texts that one of them is in."""
SPREAD = 1.6
"""So many times as large, or as small, as equal groups are those of words that are compared with
each other; beyond that, only all words are compared."""
FIRST = {"1st": "first", "2nd": "second", "3rd": "third"}
"""Places that are written as words."""
MOST_WORDS, LONGEST_END, MOST_DIVISIONS = 400, 3, 6
"""The words that are compared, the most frequent first, those of a beginning or an ending, and the
divisions that are given, the coarsest first."""


def divisions(texts: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Give the divisions of texts of which no two are alike, and what divides them: a few words at
    their beginning or ending, a word that nearly each text has exactly one of, or a part, where all
    texts are names without spaces; of dates, only the year, the month and the day.

    Args:
        texts: as many as there are units.
    Returns: up to six pairs of "beginning", "ending", "word", or a place such as "first part", and
        the number of every text's group, from 0; texts that have none of the words are groups of
        their own.
    Example:
        >>> from assay.core.recurring import divisions
        >>> divisions(["run7/a.pt", "run7/b.pt", "run9/c.pt", "run9/d.pt"])
        [('first part', array([0, 0, 1, 1]))]
    """
    are_names = not any(re.search(r"\s", text.strip()) for text in texts)
    if all(map(DATE.match, texts)):
        found = [*_of_dates(texts)]
    else:
        found = [*_of_parts(texts)] if are_names else [*_of_ends(texts), *_of_words(texts)]
    unlike = dict[tuple[int, ...], tuple[str, np.ndarray]]()
    for way, of in found:
        unlike.setdefault(tuple(of.tolist()), (way, of))
    return sorted(unlike.values(), key=lambda x: x[1].max())[:MOST_DIVISIONS]


def place_of_shared(texts: Sequence[str], others: Sequence[str]) -> list[int]:
    """Say where each text has the word, or the first of several, that all have and no other has.

    Args:
        texts: at least one.
        others: texts that do not have the word.
    """
    words = [set(re.findall(r"\w+", text.casefold())) for text in (*texts, *others)]
    shared = set.intersection(*words[: len(texts)]).difference(*words[len(texts) :])
    return [
        next((m.start() for m in re.finditer(r"\w+", text) if m[0].casefold() in shared), 0)
        for text in texts
    ]


def _of_parts(names: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Divide names by what is between signs, counted from either end; those of files of one type,
    with unlike numbers of parts, without this type."""
    split = [re.findall(r"[^\W_]+", name) for name in names]
    types = {name[name.rfind(".") :] for name in names}
    if len(set(map(len, split))) > 1 and len(types) == 1 and "." in types.pop():
        split = [parts[:-1] for parts in split]
    length = min(map(len, split), default=0)
    for i in (*range(length), *range(-1, -length - 1, -1)):
        of = numbered([parts[i] for parts in split])
        if 1 <= of.max() < len(names) // 2 and np.bincount(of).max() <= LARGEST * len(names):
            place = ordinal(abs(i) + (i >= 0))
            last = {-1: "last"}.get(i, f"{place} last")
            yield f"{last if i < 0 else FIRST.get(place, place)} part", of


def _of_dates(dates: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Divide dates, such as 2024-05-17, by year, month and day; hours and less say when a row was
    written, and name no groups."""
    parts = [re.findall(r"\d+", date) for date in dates]
    for count, way in enumerate(("year", "month", "day"), 1):
        of = numbered([tuple(x[:count]) for x in parts])
        if 1 <= of.max() < len(dates) // 2 and np.bincount(of).max() <= LARGEST * len(dates):
            yield way, of


def _of_ends(texts: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Divide texts by their first words, or their last ones, where nearly all share these."""
    split = [re.findall(r"\w+", text.casefold()) for text in texts]
    for way, step in (("beginning", 1), ("ending", -1)):
        for size in range(1, LONGEST_END + 1):
            of = numbered([tuple(words[::step][:size]) for words in split])
            sizes = np.bincount(of)
            is_shared = (sizes[of] >= FEWEST_TEXTS).mean() >= COVERED
            if is_shared and sizes.max() <= LARGEST * len(texts):
                yield way, of


def _of_words(texts: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Divide texts by words of which no two are in one text: of those that are about as frequent
    as groups of one size would be, and of all."""
    there, n = _occurrences(texts), len(texts)
    counts = there.sum(1)
    for size in (*(n / 2 ** (i / 2) for i in range(2, int(2 * np.log2(max(n, 1))))), None):
        is_about = size is None or abs(np.log(counts / size)) <= np.log(SPREAD)
        exclusive = _exclusive(there[is_about] if size else there)
        if len(exclusive) > 1 and exclusive.sum() >= COVERED * n:
            lone = np.arange(n) + len(exclusive)
            groups = np.where(exclusive.any(0), exclusive.argmax(0), lone)
            yield "word", numbered(groups.tolist())


def _occurrences(texts: Sequence[str]) -> np.ndarray:
    """Say which texts [word, text] each word is in that may name a group; words that are in the
    same texts, such as New and York, are one."""
    texts_of = defaultdict[str, list[int]](list)
    for i, text in enumerate(texts):
        for word in dict.fromkeys(re.findall(r"\w+", text.casefold())):
            texts_of[word].append(i)
    sizes = range(FEWEST_TEXTS, int(LARGEST * len(texts)) + 1)
    each = sorted({tuple(x) for x in texts_of.values() if len(x) in sizes}, key=len, reverse=True)
    there = np.zeros((len(each[:MOST_WORDS]), len(texts)), dtype=np.float32)
    for row, members in zip(there, each, strict=False):
        row[[*members]] = 1
    return there


def _exclusive(there: np.ndarray) -> np.ndarray:
    """Leave words out until no two are in one text, first the one that shares the most texts with
    the others, as a word that recurs by chance shares all of its own with those of a division."""
    common, counts = there @ there.T, there.sum(1)
    np.fill_diagonal(common, 0)
    left, shared = np.ones(len(there), dtype=bool), common.sum(1)
    while (shared[left] > 0).any():
        worst = np.where(left, shared / counts, -1).argmax()
        left[worst] = False
        shared -= common[worst]
    return there[left]
