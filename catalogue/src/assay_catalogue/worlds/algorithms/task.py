"""Task: a function of short sequences, how its inputs are drawn, and at which positions it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from assay.core.errors import SpecError
from assay.train import rng

UNASKED = -1
"""What stands for an answer at positions where nothing is asked."""


@dataclass(frozen=True, eq=False)
class Task:
    """What a small model is to work out, position by position."""

    name: str
    """As it is called in names of random streams and files."""
    tokens: tuple[str, ...]
    """What each token is called; as many as the model reads."""
    answers: tuple[str, ...]
    """What each answer is called; as many as the model has logits."""
    length: int
    """Tokens in a sequence."""
    drawn: Callable[[np.random.Generator, int], Int[np.ndarray, "n s"]]
    """So many inputs, from a generator."""
    answer: Callable[[Int[np.ndarray, "n s"]], Int[np.ndarray, "n s"]]
    """The right answer at each position; UNASKED where there is none. Answers read nothing that
    comes later."""
    chances: Callable[[Int[np.ndarray, "n s"]], Float[np.ndarray, "n s v"]] | None = None
    """How likely each answer is after what was read so far, where answers are drawn and cannot be
    known; `answer` is then one draw."""

    def draw(
        self, seed: int, index: int, n: int, *, held_out: bool = False
    ) -> Int[np.ndarray, "n s"]:
        """Draw n inputs by seed and index: those for training, or others.

        Raises: SpecError for fewer than one.
        """
        if n < 1:
            raise SpecError(f"task {self.name} is asked for {n} inputs; at least one is needed")
        stream = f"algorithms.{self.name}.{'held-out' if held_out else 'training'}"
        return self.drawn(rng.generator(seed, stream, index), n)

    def read(self, text: str) -> Int[np.ndarray, " s"]:
        """Give the tokens of a text in which they stand apart by spaces. Raises: SpecError for a
        token that the task does not have."""
        places = {name: i for i, name in enumerate(self.tokens)}
        words = text.split()
        if unknown := [w for w in words if w not in places]:
            raise SpecError(
                f"task {self.name} has no token {unknown[0]!r}; it has {' '.join(self.tokens)}"
            )
        return np.array([places[w] for w in words])

    def said(self, tokens: Int[np.ndarray, " s"]) -> str:
        """Give tokens as text, apart by spaces."""
        return " ".join(self.tokens[int(t)] for t in tokens)


def has_answer(answers: Int[np.ndarray, "n s"]) -> Bool[np.ndarray, "n s"]:
    """Tell at which positions there is an answer."""
    return answers != UNASKED


def unasked(tokens: Int[np.ndarray, "n s"]) -> Int[np.ndarray, "n s"]:
    """Give an array of answers in which nothing is asked yet."""
    return np.full(tokens.shape, UNASKED)
