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
FRAME, ALIKE = 4, 3
"""Words that texts of one template share at least, in their order, and how many texts have to show
that these are its own and not what fills it."""
RUN, NEARLY_ALL = 4, 0.8
"""So many words in a row at a beginning or an ending, with no text that has only some of them, show
that texts share it, whatever else is in them, if nearly all texts share one with another."""


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


def are_known(texts: Sequence[str], others: Sequence[str]) -> bool:
    """Tell whether each text surely has the wording of one of the others, or their template, which
    may be filled in several places.

    Texts have one template if they share more than half of the words of each, in their order, and
    so do three texts or more.

    Args:
        texts: as many as there are units.
        others: any.
    Example:
        >>> from assay.core.wordings import are_known
        >>> others = ["Tom and Ann met so Tom saw Ann", "Jim and Sue met so Jim saw Sue"]
        >>> are_known(["Bob and Eve met so Eve saw Bob"], others)
        True
    """
    count, words = len(texts), [spelling(text).split() for text in (*texts, *others)]
    wording, _, _ = _parted(words)
    known = {*wording[count:].tolist()}
    left = [x for x, of in zip(words, wording[:count].tolist(), strict=False) if of not in known]
    while left:
        shared = ((_in_order(left[0], x), x) for x in words[count:])
        frames = {x for x, other in shared if _has_frame(left[0], x) and _has_frame(other, x)}
        # the fewer words, the less of them is what fills a template
        of = (x for x in sorted(frames, key=len) if sum(_has_frame(t, x) for t in words) >= ALIKE)
        if (frame := next(of, None)) is None:
            return False
        left = [x for x in left if not _has_frame(x, frame)]
    return True


def _in_order(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """The longest list of words that two texts both have in this order; () where they surely share
    no more than half of the words of each."""
    half = max(len(first), len(second)) / 2
    if len(first) > LONGEST or (Counter(first) & Counter(second)).total() <= half:
        return ()
    row: list[tuple[str, ...]] = [()] * (len(second) + 1)
    for word in first:
        above, row = row, [()]
        for k, other in enumerate(second):
            longer = (*above[k], word) if word == other else max(above[k + 1], row[k], key=len)
            row.append(longer)
    return row[-1]


def _has_frame(text: Sequence[str], frame: Sequence[str]) -> bool:
    """Whether a text has these words in their order, enough of them, and fewer others."""
    rest = iter(text)
    enough = len(frame) >= FRAME and 2 * len(frame) > len(text)
    return enough and all(word in rest for word in frame)


def shared_words(texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Number the groups of texts that have words in common, and of those that fill the rest with
    the same words. Each is named by what its texts share and others do not: beginning, ending, or
    else wording and content.

    Args:
        texts: as many as there are units.
    """
    ways, words = dict[str, np.ndarray](), [spelling(text).split() for text in texts]
    wording, around, filling = _parted(words)
    if _grouped(wording) < NEARLY_ALL and (of := _by_ends(words)) is not None:
        wording, filling = of, _fillings(words, of)
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


def _by_ends(words: Sequence[Sequence[str]]) -> np.ndarray | None:
    """Number the beginnings that nearly all texts share with another, whatever follows, or the
    endings, whichever are fewer, or else what shares either; None where too few do."""
    ends = [_shared_runs(texts) for texts in (words, [split[::-1] for split in words])]
    beginning, ending = (numbered([x or -1 - i for i, x in enumerate(of)]) for of in ends)
    whole = [of for of in (beginning, ending) if _grouped(of) >= NEARLY_ALL]
    root = [*range(len(words))]
    for of in (beginning, ending):
        first = dict[int, int]()
        for i, group in enumerate(of.tolist()):
            root[_top(root, i)] = _top(root, first.setdefault(group, i))
    either = numbered([_top(root, i) for i in range(len(words))])
    if not whole and either.any() and _grouped(either) >= NEARLY_ALL:
        return either
    return min(whole, key=lambda of: of.max(), default=None)


def _shared_runs(texts: Sequence[Sequence[str]]) -> list[int]:
    """Number the beginnings, from 1, that end in a run of words which some texts all have, and no
    other has some of; 0 where a text has none. Of several, the shortest counts."""
    every = _beginnings(texts)
    counts = Counter(itertools.chain.from_iterable(every))
    largest, shared = NEARLY_ALL * len(texts), list[int]()
    for of_text in every:
        sizes = [counts[number] for number in of_text]
        ends = (k for k in range(RUN, len(sizes)) if sizes[k] == sizes[k - RUN + 1] <= largest)
        shared.append(next((of_text[k] for k in ends), 0))
    return shared


def _fillings(words: Sequence[Sequence[str]], of: np.ndarray) -> np.ndarray:
    """Number what texts of each group do not all begin or end with."""
    groups = defaultdict[int, list[int]](list)
    for i, group in enumerate(of.tolist()):
        groups[group].append(i)
    filling = [" ".join(split) for split in words]
    for several in (members for members in groups.values() if len(members) > 1):
        texts = [words[i] for i in several]
        first, last = _in_common(texts, 1), _in_common(texts, -1)
        for i, text in zip(several, texts, strict=True):
            filling[i] = spelling(" ".join(text[first : len(text) - last]))
    return numbered(filling)


def _grouped(of: np.ndarray) -> float:
    """The share of texts that are in a group with others."""
    return float((np.bincount(of)[of] > 1).mean()) if len(of) else 0.0


def _shared_place(words: Sequence[Sequence[str]], of: np.ndarray) -> str:
    """Whether texts of each group share more words at their beginning than all texts do, and none
    at their ending, or the reverse; "" where neither is so."""
    groups = defaultdict[int, list[Sequence[str]]](list)
    for split, group in zip(words, of.tolist(), strict=True):
        groups[group].append(split)
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
