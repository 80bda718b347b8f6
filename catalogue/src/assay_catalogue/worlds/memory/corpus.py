"""A corpus with planted documents: unique strings, predictable text, near-duplicates, a family that
shares a topic, one that shares a rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from assay.core.errors import SpecError
from assay.train import rng

SYMBOLS = 64
"""The vocabulary: 51 ordinary symbols, and 13 that only the rule's lines have."""
ORDINARY = 51
DIGITS, PLUS, EQUALS, END = 51, 61, 62, 63
LENGTH = 32
"""Tokens in every document; none is padding."""
SUCCESSORS = 12
"""Symbols that may follow a symbol in the common source, each as likely."""
COPIES = (2, 4, 8, 16, 32)
"""Near-duplicates of one string that the corpus has, a family for each number."""
TOPIC, TOPIC_SUCCESSORS = 16, 6
"""Symbols of the topic, and those that may follow each of them there."""
SHARED = 3
"""Documents of the topic in which one literal of four tokens may occur."""
PLANTED = {
    "unique": 16,
    "once": 32,
    "predictable": 32,
    **{f"{k} copies": k for k in COPIES},
    "topic": 32,
    "rule": 64,
}
"""How many documents of each kind are planted; the rest are drawn from the common source, as the
predictable ones are."""
UNSEEN = {"unseen unique": 16, "unseen predictable": 32}
"""Documents that no model is ever trained on, at the end of the corpus."""
LEAST = 512
"""Documents below which the planted ones would be most of the corpus."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents and what each is; the last ones are never trained on."""

    tokens: Int[np.ndarray, "doc token"]
    kind: Shaped[np.ndarray, " doc"]

    def of(self, *kinds: str) -> Bool[np.ndarray, " doc"]:
        """Which documents are of one of these kinds."""
        return np.isin(self.kind, kinds)

    @property
    def seen(self) -> Bool[np.ndarray, " doc"]:
        """Which documents may be trained on."""
        return ~self.of(*UNSEEN)


def plant(seed: int, documents: int = 1024) -> Corpus:
    """Draw a corpus of so many documents, and beside it the unseen ones. Raises: SpecError for too
    few documents."""
    if documents < LEAST:
        raise SpecError(
            f"a corpus needs at least {LEAST} documents, so that the planted ones are not "
            f"most of it, got {documents}"
        )
    gen = rng.generator(seed, "memory.corpus")
    source = chain(gen, ORDINARY, SUCCESSORS)
    documents_by_kind: dict[str, np.ndarray] = {}
    for kind, n in {**PLANTED, **UNSEEN}.items():
        if kind.endswith("copies"):
            documents_by_kind[kind] = near_duplicates(gen, n)
        elif kind == "topic":
            documents_by_kind[kind] = topic(gen, n, source)
        elif kind == "rule":
            documents_by_kind[kind] = sums(gen, n)
        else:
            documents_by_kind[kind] = (
                walks(gen, source, n)
                if kind.endswith("predictable")
                else gen.integers(ORDINARY, size=(n, LENGTH))
            )
    background = walks(gen, source, documents - sum(PLANTED.values()))
    order = [*PLANTED, "background", *UNSEEN]
    documents_by_kind["background"] = background
    return Corpus(
        np.concatenate([documents_by_kind[k] for k in order]),
        np.concatenate([np.full(len(documents_by_kind[k]), k, dtype=object) for k in order]).astype(
            str
        ),
    )


def chain(
    gen: np.random.Generator,
    symbols: int,
    successors: int,
    but: Int[np.ndarray, "symbol n"] | None = None,
) -> Int[np.ndarray, "symbol n"]:
    """Draw the symbols that may follow each symbol; none of those in `but`, row by row."""
    scores = gen.random((symbols, symbols))
    if but is not None:
        np.put_along_axis(scores, but, 2.0, axis=1)
    return np.sort(np.argsort(scores, axis=1)[:, :successors], axis=1)


def walks(
    gen: np.random.Generator, after: Int[np.ndarray, "symbol n"], n: int
) -> Int[np.ndarray, "doc token"]:
    """Draw documents in which each token is one of those that may follow the one before, all as
    likely."""
    out = np.empty((n, LENGTH), dtype=np.int64)
    out[:, 0] = gen.integers(len(after), size=n)
    for t in range(1, LENGTH):
        out[:, t] = after[out[:, t - 1], gen.integers(after.shape[1], size=n)]
    return out


def near_duplicates(gen: np.random.Generator, n: int) -> Int[np.ndarray, "doc token"]:
    """Draw one random string n times, in each copy with one random token replaced by another
    symbol."""
    out = np.tile(gen.integers(ORDINARY, size=LENGTH), (n, 1))
    columns = gen.integers(LENGTH, size=n)
    out[np.arange(n), columns] = (
        out[np.arange(n), columns] + gen.integers(1, ORDINARY, size=n)
    ) % ORDINARY
    return out


def topic(
    gen: np.random.Generator, n: int, source: Int[np.ndarray, "symbol n"]
) -> Int[np.ndarray, "doc token"]:
    """Draw documents about one thing that share no text: walks of a chain of their own on a few
    ordinary symbols.

    No symbol there has a successor of the common source, and no literal of four tokens is in more
    than three documents."""
    symbols = gen.permutation(ORDINARY)[:TOPIC]
    place = np.full(ORDINARY, -1)
    place[symbols] = np.arange(TOPIC)
    scores = gen.random((TOPIC, TOPIC))
    for row, members in enumerate(source[symbols]):
        scores[row, place[members][place[members] >= 0]] = 2.0
    after = np.argsort(scores, axis=1)[:, :TOPIC_SUCCESSORS]
    documents: list[np.ndarray] = []
    code_counts: dict[int, int] = {}
    while len(documents) < n:
        document = symbols[walks(gen, after, 1)]
        members = set(literals(document).ravel().tolist())
        if all(code_counts.get(code, 0) < SHARED for code in members):
            documents.append(document)
            code_counts |= {code: code_counts.get(code, 0) + 1 for code in members}
    return np.concatenate(documents)


def sums(gen: np.random.Generator, n: int) -> Int[np.ndarray, "doc token"]:
    """Draw documents of five lines "a + b = c ;" with c = a + b mod 10, and two tokens of a
    sixth."""
    a, b = gen.integers(10, size=(2, n, 6))
    lines = np.stack(
        [
            DIGITS + a,
            np.full_like(a, PLUS),
            DIGITS + b,
            np.full_like(a, EQUALS),
            DIGITS + (a + b) % 10,
            np.full_like(a, END),
        ],
        -1,
    )
    return lines.reshape(n, -1)[:, :LENGTH]


def literals(tokens: Int[np.ndarray, "doc token"], length: int = 4) -> Int[np.ndarray, "doc place"]:
    """A number for each run of so many tokens, equal where they are the same text."""
    places = tokens.shape[1] - length + 1
    codes = np.zeros((len(tokens), places), dtype=np.uint64)
    for t in range(
        length
        # beyond ten tokens the number wraps around: two texts then share one with a chance of about
        # 1e-9
    ):
        codes = codes * np.uint64(0x9E3779B97F4A7C15 if length > 10 else SYMBOLS) + tokens[
            :, t : t + places
        ].astype(np.uint64)
    return codes


def bigrams(tokens: Int[np.ndarray, "doc token"]) -> Float[np.ndarray, "doc pair"]:
    """How often each pair of neighbouring symbols is in each document, pairs in the order of first,
    then second symbol."""
    pairs = tokens[:, :-1] * SYMBOLS + tokens[:, 1:]
    out = np.zeros((len(tokens), SYMBOLS * SYMBOLS), dtype=np.float32)
    np.add.at(out, (np.arange(len(tokens))[:, None], pairs), 1.0)
    return out
