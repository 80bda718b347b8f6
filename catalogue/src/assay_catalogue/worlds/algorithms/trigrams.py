"""Trigrams: among random tokens, certain pairs are always followed by a certain third one; with the
exact predictor.

Source: the kind of C. McDougall's monthly algorithmic problem of November 2024, after its page and
a solver's; the law is ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from assay.train import rng
from assay_catalogue.worlds.algorithms.task import Task


@dataclass(frozen=True, eq=False)
class Trigrams:
    """The pairs that bind, what follows each, and how often one begins where none is going on."""

    A: Int[np.ndarray, " k"]
    a: Int[np.ndarray, " k"]
    b: Int[np.ndarray, " k"]
    letters: int
    rate: float

    @property
    def share(self) -> float:
        """The share of tokens that lie in a trigram in the long run. Formula: 3 q / (1 + 2 q)."""
        return 3 * self.rate / (1 + 2 * self.rate)

    def drawn(self, generator: np.random.Generator, n: int, length: int) -> Int[np.ndarray, "n s"]:
        """Draw sequences that begin with START, then a new trigram with the rate, else a token of
        the 2 · letters."""
        out = np.full((n, length), 2 * self.letters)
        inside, which = (
            np.zeros(n, dtype=np.int64),
            np.zeros(n, dtype=np.int64),
        )  # letters of a trigram that are read, and of which
        start = generator.random((n, length)) < self.rate
        new, free = (
            generator.integers(len(self.A), size=(n, length)),
            generator.integers(2 * self.letters, size=(n, length)),
        )
        letter = np.stack([self.A, self.a + self.letters, self.b + self.letters])
        for position in range(1, length):
            begins = (inside == 0) & start[:, position]
            which = np.where(begins, new[:, position], which)
            out[:, position] = np.where(
                begins | (inside > 0), letter[inside, which], free[:, position]
            )
            inside = np.where(begins | (inside == 1), inside + 1, 0)
        return out

    def exact(self, tokens: Int[np.ndarray, "n s"]) -> Float[np.ndarray, "n s v"]:
        """Give the probability of each next token, from all so far, by the forward recursion over
        hidden states.

        A state says how far which trigram is: none, its first letter read, or its second. The last
        letter of one ends it."""
        k, v = len(self.A), 2 * self.letters
        A, a, b = (
            np.eye(v + 1)[i] for i in (self.A, self.a + self.letters, self.b + self.letters)
        )  # [trigram, token]
        even = (1 - self.rate) / v * (np.arange(v + 1) < v)
        follows = np.concatenate([even[None] + self.rate / k * A.sum(0), a, b])  # [state, token]
        free, first, second = (
            np.ones(len(tokens)),
            np.zeros((len(tokens), k)),
            np.zeros((len(tokens), k)),
        )
        out = np.empty((*tokens.shape, v + 1))
        for position in range(tokens.shape[1]):
            if position:
                current = tokens[:, position]
                begun = free[:, None] * self.rate / k * A.T[current]
                ended = (second * b.T[current]).sum(1)
                free, first, second = (
                    free * (1 - self.rate) / v + ended,
                    begun,
                    first * a.T[current],
                )
                total = free + first.sum(1) + second.sum(1)
                free, first, second = free / total, first / total[:, None], second / total[:, None]
            out[:, position] = np.concatenate([free[:, None], first, second], 1) @ follows
        return out


def law(seed: int, letters: int = 26, count: int = 26, rate: float = 1 / 60) -> Trigrams:
    """Draw so many trigrams by a seed: distinct pairs of a capital and a small letter, each with a
    small letter that follows."""
    generator = rng.generator(seed, "algorithms.trigrams.law")
    pairs = generator.permutation(letters * letters)[:count]
    return Trigrams(
        pairs // letters, pairs % letters, generator.integers(letters, size=count), letters, rate
    )


def trigrams(trigram_law: Trigrams, length: int = 32) -> Task:
    """Predict the next token where trigrams of this law occur; what is asked at a position is the
    token after it, at the last nothing.

    What comes next is drawn, so the task tells its chances: the exact predictor's.
    """
    capitals = [chr(ord("A") + i) for i in range(trigram_law.letters)]

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        return np.concatenate([tokens[:, 1:], np.full((len(tokens), 1), -1)], 1)

    names = (*capitals, *(c.lower() for c in capitals), "START")
    return Task(
        f"trigrams-{length}",
        names,
        names,
        length,
        lambda generator, n: trigram_law.drawn(generator, n, length),
        answer,
        trigram_law.exact,
    )
