"""Related: rows of a probe that are not independent of each other: groups that are taken as one,
and rows that are alike although their labels differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

import numpy as np

from assay.controls.table import Control
from assay.controls.texts import words_of
from assay.core.dependence import near_copies, principal
from assay.core.heavy import scipy
from assay.core.intervals import FEWEST
from assay.core.nouns import plural
from assay.core.scopes import listed
from assay.core.wordings import spelling

ONE_LABEL = 0.85
"""The share of rows that have the usual label of their set from which sets of near-copies tell
labels."""
COPY = 1.2
"""How many times as far apart as the rows of one group rows of two groups are at most that are
near-copies."""
CLOSE = 0.5
"""The correlation of what is read of two rows, beyond what all rows share, from which they are
shown as alike."""
PLACES, MOSTLY = 8, 0.9
"""So many words of a text, from each end, may tell its set; the share of rows of which one does."""
ONE_GROUP = "give near-copies one group (groups=)"


def with_same_texts(group: np.ndarray, texts: Sequence[str] | None) -> tuple[np.ndarray, list[str]]:
    """Groups as one where they have a text in common, so that none is learned from and judged; and
    what was found."""
    _, text = np.unique([spelling(str(t)) for t in texts or ()], return_inverse=True)
    several = sum(len(np.unique(group[text == k])) > 1 for k in range(text.max(initial=-1) + 1))
    if not several:
        return group, []
    if not text.any():
        return group, ["all texts are the same, so no control of words or spelling says anything"]
    words = f"{several} {'text is' if several == 1 else 'texts are'} in several groups"
    together = _linked(group, text)
    few = (count := int(together.max()) + 1) < FEWEST
    advice = ": keep one row of each text, or give each text to one group" * few
    return together, [
        f"{words}, and such groups are taken as one, so that no text is both trained on and "
        f"judged; this leaves {count} {plural('group', count)}{advice}"
    ]


def with_near_copies(
    x: np.ndarray, y: np.ndarray, group: np.ndarray, texts: Sequence[str] | None
) -> tuple[np.ndarray, list[str]]:
    """Groups as one where they have rows of one label that are nearer to each other than
    independent ones, so that no copy is learned from and judged; and what was found."""
    sets = near_copies(principal(x - x.mean(0)), "row")
    if sets is None or sets.of.max() + 1 < FEWEST:  # labels, too, lie in two sets
        return group, []
    yes, count = np.bincount(sets.of, y), np.bincount(sets.of)
    if np.maximum(yes, count - yes).sum() < ONE_LABEL * len(y):
        return group, []
    scale = np.where(np.ptp(x, axis=0) > 0, x.std(0), 1.0)
    apart = scipy.spatial.distance.cdist(x / scale, x / scale)
    together = _linked(group, _nearer_than_own(apart, group, sets.of))
    if (left := int(together.max()) + 1) == len(np.unique(group)):
        return group, []
    across = (sets.of[:, None] == sets.of) & (group[:, None] != group)
    pair = divmod(int(np.where(across, apart, np.inf).argmin()), len(x))
    found = f"{sets.words}, across groups, such as {_in_words(pair, texts)}"
    if left < FEWEST:
        line = _line(texts, sets.of) or ", for each row the name of its set"
        return group, [f"{found}: if rows of one set are not independent, give groups={line}"]
    return together, [f"{found}: rows of one set are taken as one group, {left} in all"]


def _nearer_than_own(apart: np.ndarray, group: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The parts of sets of near-copies that are not groups by themselves: rows of two groups stay
    together where they are about as near to each other as rows of one of these groups are. A row
    that is a group by itself has no nearer one there, so that it stays in its set."""
    np.fill_diagonal(apart, np.inf)
    closest = np.where(group[:, None] == group, apart, np.inf).min(1)
    within = np.array([closest[group == k].max() for k in range(int(group.max()) + 1)])[group]
    near = (of[:, None] == of) & (apart < COPY * np.maximum(within[:, None], within))
    return np.asarray(scipy.sparse.csgraph.connected_components(near, directed=False)[1])


def merged(names: Sequence[str], stated: np.ndarray, group: np.ndarray) -> list[str]:
    """A note on which of the groups that the author named are taken as one, with two examples; none
    where all are kept."""
    named = dict(zip(stated.tolist(), names, strict=True))
    held = {int(k): [named[j] for j in dict.fromkeys(stated[group == k].tolist())] for k in group}
    several = [members for members in held.values() if len(members) > 1]
    if not several:
        return []
    examples = " and ".join(f"{members[0]!r} with {members[1]!r}" for members in several[:2])
    count = sum(map(len, several))
    return [
        f"of the {len(named)} groups that groups= names, {count} were merged into {len(several)}, "
        f"such as {examples}: keep one of each, or give them one name"
    ]


def of_other_labels(
    below: Sequence[str],
    positive: np.ndarray,
    group: np.ndarray,
    readers: Mapping[Control, Any],
    texts: Sequence[str] | None,
) -> list[str]:
    """A note on controls that are below chance, with the two rows of different groups and labels
    that are most alike in what the first of them reads, if they are alike beyond what all rows
    share."""
    control, reader = next(((c, r) for c, r in readers.items() if c.name in below), (None, None))
    if control is None or reader is None:
        return []
    inner = reader(np.arange(len(group)))
    inner = inner - inner.mean(0) - inner.mean(1)[:, None] + inner.mean()
    norms = np.sqrt(np.maximum(np.diag(inner), 1e-12))
    apart = (group[:, None] != group) & (positive[:, None] != positive)
    alike = np.where(apart, inner / np.outer(norms, norms), -np.inf)
    pair = divmod(int(alike.argmax()), len(group))
    note = f"below chance: {', '.join(below)}, which rules out little; this happens if a row is "
    note += "judged by what was learned from "
    if alike[pair] < CLOSE:
        return [f"{note}rows like it that have the other label: give such rows one group (groups=)"]
    return [
        f"{note}its near-copies, which have the other label. The most alike in what {control.name} "
        f"reads are {_in_words(pair, texts)}: if these are near-copies, {ONE_GROUP}"
    ]


def _in_words(pair: Sequence[int], texts: Sequence[str] | None) -> str:
    """Name two rows, with their texts, and the words that these share and not all texts do."""
    if texts is None:
        return " and ".join(f"row {i}" for i in pair)
    rows = " and ".join(f"row {i} “{shorten(str(texts[i]), 60)}”" for i in pair)
    first, second = (words_of(str(texts[i])) for i in pair)
    common = set.intersection(*({*words_of(str(text))} for text in texts))
    shared = [w for w in dict.fromkeys(first) if w in second and w not in common]
    words = listed([f"“{w}”" for w in shared])
    return f"{rows}, which share {words}" if shared else rows


def _line(texts: Sequence[str] | None, of: np.ndarray) -> str:
    """The argument that groups rows by the word that tells their sets; "" where none does."""
    words = [str(text).split() for text in texts or ()]
    fewest = min(map(len, words), default=0)
    for place in (*range(min(PLACES, fewest)), *range(-min(PLACES, fewest), 0)):
        word = np.unique([w[place].casefold() for w in words], return_inverse=True)[1]
        counts = np.zeros((word.max() + 1, of.max() + 1))
        np.add.at(counts, (word, of), 1)
        if min(counts.max(0).sum(), counts.max(1).sum()) >= MOSTLY * len(of):
            return f"[text.split()[{place}] for text in texts]"
    return ""


def _linked(group: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Groups of rows as one where a set has rows of several."""
    shape = (int(group.max()) + 1, int(sets.max()) + 1)
    links = scipy.sparse.coo_array((np.ones(len(group)), (group, sets)), shape)
    both = scipy.sparse.block_array([[None, links], [links.T, None]])
    of = scipy.sparse.csgraph.connected_components(both)[1]
    return np.asarray(np.unique(of[group], return_inverse=True)[1])
