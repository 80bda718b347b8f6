"""Texts: what is counted in texts for the controls that read them, and which of it tells two labels
apart by itself."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from assay.ask.near import BAG, LENGTHS, PAIRS, PLACES, SPELLING, Control
from assay.core.heavy import scipy

FROM_EACH_END = 8
"""So many words are placed, counted from the first and once more from the last."""
PLACED = tuple(place for k in range(FROM_EACH_END) for place in (k, -k - 1))
LEAST = 0.03
"""The share of texts in which something that is counted has to be, and in two of them at least: of
what is rarer nothing is learned that would be right of another text."""
WORD = re.compile(r"\w+|[^\w\s]")
KINDS = {
    "capital": str.isupper,
    "digit": str.isdigit,
    "blank": str.isspace,
    "foreign": lambda c: not c.isascii(),
    "mark": lambda c: not (c.isalnum() or c.isspace()),
}
"""Kinds of characters, each counted and looked for at both ends of a text."""
MANY = {
    "foreign": "characters beyond ASCII",
    "mark": "punctuation marks",
    "words of its own": "words that are in no other text",
}
Counts = Mapping[Any, int]
"""How often each thing is in a text."""


def words_of(text: str) -> list[str]:
    """Cut a text into words and signs, in small letters."""
    return WORD.findall(text.lower())


def as_columns(rows: Sequence[Counts]) -> tuple[list[Any], Float[np.ndarray, "row thing"]]:
    """Name what is in enough texts, and give its counts."""
    within = Counter(key for row in rows for key, n in row.items() if n)
    least = max(2, LEAST * len(rows))
    keys = [key for key, n in within.items() if n >= least]
    return keys, np.array([[row.get(key, 0) for key in keys] for row in rows], float)


def spellings(texts: Sequence[str]) -> list[Counts]:
    """Count what is seen of texts without their words: each character and each kind of characters,
    how they begin and end, the last two letters of words, and the words that are in no other
    text."""
    counts = Counter(w for text in texts for w in {*words_of(text)})
    rows = list[Counts]()
    for text in texts:
        words, characters = words_of(text), Counter(text)
        row = characters + Counter(f"-{w[-2:]}" for w in words if len(w) > 2)
        for kind, so in KINDS.items():
            row[kind] = sum(n for c, n in characters.items() if so(c))
            row[f"first {kind}"] = int(so(text[:1])) if text else 0
            row[f"last {kind}"] = int(so(text[-1:])) if text else 0
        row["double blank"] = len(re.findall(r"\s\s", text))
        row["words of its own"] = sum(counts[w] == 1 for w in words)
        rows.append(row)
    return rows


def pairs(texts: Sequence[str]) -> list[Counts]:
    """Count how often each two words follow each other, the ends of a text included."""
    return [Counter(itertools.pairwise(["", *words_of(text), ""])) for text in texts]


def lengths(texts: Sequence[str]) -> Float[np.ndarray, "row 4"]:
    """Count the characters and the words of each text, with the logarithms of both."""
    counts = np.array([[len(t), len(words_of(t))] for t in texts], float)
    return np.concatenate([counts, np.log1p(counts)], 1)


def find_telling(
    control: Control, texts: Sequence[str], y: Bool[np.ndarray, " row"], least: float
) -> tuple[str, float] | None:
    """Name the one thing among those that a control reads that tells the labels best, and give its
    AUROC; None where that is below `least`, or no more than the best of so many tell by chance."""
    keys, x = as_columns(_read(control, texts))
    if not keys:
        return None
    ranks, count = scipy.stats.rankdata(x, axis=0), int(y.sum())
    aurocs = (ranks[y].mean(0) - (count + 1) / 2) / (len(y) - count)
    value = float(max(aurocs.max(), 1 - aurocs.min()))
    best = int(aurocs.argmax() if aurocs.max() >= value else aurocs.argmin())
    chance = scipy.stats.mannwhitneyu(x[y, best], x[~y, best]).pvalue * len(keys)
    return (_in_words(control, keys[best]), value) if value >= least and chance < 0.05 else None


def _read(control: Control, texts: Sequence[str]) -> list[Counts]:
    """What a control reads of each text."""
    if control == SPELLING:
        return spellings(texts)
    if control == PAIRS:
        return pairs(texts)
    words = [words_of(text) for text in texts]
    if control == LENGTHS:
        both = zip(words, texts, strict=True)
        return [{"words": len(each), "characters": len(text)} for each, text in both]
    if control == BAG:
        return [Counter(each) for each in words]
    ends = ([k for k in PLACED if -len(each) <= k < len(each)] for each in words)
    return [{(k, each[k]): 1 for k in places} for each, places in zip(words, ends, strict=True)]


def _in_words(control: Control, key: Any) -> str:
    """Name one thing that a control reads."""
    if control == BAG:
        return f"the word “{key}”"
    if control == LENGTHS:
        return f"the number of {key}"
    if control == PAIRS:
        start, end = key
        at = "the end" if start else "the start"
        return f"“{start or end}” at {at}" if "" in key else f"“{start} {end}”"
    if control == PLACES:
        place, word = key
        where = f"word {place + 1}" if place >= 0 else f"word {-place} from the end"
        return f"“{word}” as {'the last word' if place == -1 else where}"
    where, _, kind = key.partition(" ")
    if len(key) == 1:
        return "the number of spaces" if key == " " else f"the character “{key}”"
    if key[0] == "-" and len(key) == 3:
        return f"words that end in “{key[1:]}”"
    if where in ("first", "last"):
        return f"whether the {where} character is a {kind}"
    return f"the number of {MANY.get(key, f'{key}s')}"
