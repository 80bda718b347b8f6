"""Caesar's cipher: by how much is a text rotated? Asked at every position, with the exact
predictor.

Source: C. McDougall, monthly algorithmic problem of January 2024, its easy kind. Its page speaks of
attention both ways and argues that later positions are easier, which needs attention to what was
read alone; so the decoder here reads that alone. Its words are those of one novel; ours are the
hundred commonest lower-case words of three letters in the documentation of Python's own library.
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

import numpy as np
from jaxtyping import Float, Int

from assay.core.errors import SpecError
from assay_catalogue.worlds.algorithms.task import Task

LETTERS, SPACE = 26, 26
WORDS = "three_letter_words.txt"
"""A line for each word: the word and how often it occurs. Lines that begin with # say what it was
counted in."""


@dataclass(frozen=True, eq=False)
class Words:
    """Words of three letters, and how likely each is where one begins."""

    words: tuple[str, ...]
    chance: Float[np.ndarray, " word"]

    @cached_property
    def codes(self) -> Int[np.ndarray, "word 3"]:
        """Each word as numbers of letters."""
        return np.array([[string.ascii_lowercase.index(c) for c in word] for word in self.words])

    @cached_property
    def tables(self) -> tuple[Float[np.ndarray, "code shift"], ...]:
        """Of the first one, two and three letters that are read, the chance under each shift;
        letters a, b, c have code (26 a + b) 26 + c."""
        turned = (self.codes[:, None] + np.arange(LETTERS)[:, None]) % LETTERS
        out = []
        for k in (1, 2, 3):
            table = np.zeros((LETTERS**k, LETTERS))
            np.add.at(table, (_code(turned[..., :k]), np.arange(LETTERS)), self.chance[:, None])
            out.append(table)
        return tuple(out)

    @cached_property
    def logs(self) -> Float[np.ndarray, "code shift"]:
        """Of a whole word, the logarithm of its chance under each shift."""
        with np.errstate(divide="ignore"):
            return np.log(self.tables[2])

    def drawn(self, generator: np.random.Generator, n: int, length: int) -> Int[np.ndarray, "n s"]:
        """Draw words one after another, each with a space after it, cut at the length and rotated
        by 0 to 25 letters."""
        count = -(-length // 4)
        which = np.searchsorted(
            np.cumsum(self.chance)[:-1], generator.random((n, count)), side="right"
        )
        turned = (self.codes[which] + generator.integers(LETTERS, size=(n, 1, 1))) % LETTERS
        return np.concatenate([turned, np.full((n, count, 1), SPACE)], 2).reshape(n, -1)[:, :length]

    def shift(self, tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, " n"]:
        """Give the shift under which the whole text is likeliest: but for one text in 10¹⁴, the one
        it was rotated by."""
        codes = _code(tokens[:, : tokens.shape[1] // 4 * 4].reshape(len(tokens), -1, 4)[..., :3])
        out = self.logs[codes[:, 0]]
        for column in codes.T[1:]:
            out += self.logs[column]
        return out.argmax(1)

    def exact(self, tokens: Int[np.ndarray, "n s"]) -> Float[np.ndarray, "n s shift"]:
        """Give the probability of each shift at each position, from all that was read so far.

        Formula: P(X | text) ∝ Π over whole words P(word turned back by X) · P(a word begins like
        the last one, turned back)."""
        out = np.zeros((*tokens.shape, LETTERS))
        # What whole words say; letters of the present word are weighed anew at each of its
        # positions.
        before = np.full((len(tokens), LETTERS), 1 / LETTERS)
        for position in range(tokens.shape[1]):
            k = position % 4 + 1
            if k < 4:
                posterior = (
                    before * self.tables[k - 1][_code(tokens[:, position - k + 1 : position + 1])]
                )
                posterior /= posterior.sum(1, keepdims=True)
            else:
                before = posterior
            out[:, position] = posterior
        return out


def _code(letters: Int[np.ndarray, "*n k"]) -> Int[np.ndarray, "*n"]:
    return letters @ LETTERS ** np.arange(letters.shape[-1])[::-1]


def commonest() -> Words:
    """Read the hundred words, each as likely as it is frequent."""
    lines = (files(__package__) / WORDS).read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    counts = np.array([float(n) for _, n in rows])
    return Words(tuple(word for word, _ in rows), counts / counts.sum())


def caesar(words: Words, length: int = 32) -> Task:
    """Tell by how many letters a text of such words was rotated, at every position; a word begins
    at the first one.

    The shift is one of the whole text: early positions are asked for what cannot be known yet,
    so the task tells the chances: the exact predictor's. Raises: SpecError below two words.
    """
    if length < 8:
        raise SpecError(
            f"a text of {length} characters holds fewer than two words, and its shift is in "
            "doubt; 8 is the least"
        )

    def answer(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
        return np.repeat(words.shift(tokens)[:, None], tokens.shape[1], 1)

    shifts = tuple(map(str, range(LETTERS)))
    return Task(
        f"caesar-{length}",
        (*string.ascii_lowercase, "_"),
        shifts,
        length,
        lambda generator, n: words.drawn(generator, n, length),
        answer,
        words.exact,
    )
