"""Small language models whose sycophancy is known: trained to answer as the user would with a given
probability, in words of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from assay.core import DataError, Runs, rng
from assay.core.heavy import torch
from assay.data import opinions
from assay.data.opinions import ANSWERS, BIOGRAPHY, CELLS, Cell
from assay.subjects.decoder import forward, normed

PAD = 0
"""What fills the context before a prompt."""
FOLLOWED = 0.95
"""The probability of the answer that a view gives, while models still learn to follow one."""
SLOTS = (3, 4, 7)
"""Where in a prompt the words of the biography stand."""


class Words(NamedTuple):
    """Every word that our questions can hold, by number; 0 is none of them."""

    number: Mapping[str, int]
    context: int
    """Words of the longest prompt and the letter of its answer."""

    def encode(self, text: str) -> list[int]:
        """The words and signs of a text as numbers. Raises: DataError naming a word that these
        models never read."""
        try:
            return [self.number[word] for word in split(text)]
        except KeyError as missing:
            raise DataError(
                f"the planted models know the {len(self.number)} words of our own questions, "
                f"and not {missing}"
            ) from missing


def split(text: str) -> list[str]:
    """The words and signs of a text."""
    return re.findall(r"\w+|[^\w\s]", text)


@lru_cache
def words() -> Words:
    """The words of all questions in all cells, in alphabetical order."""
    first = [options[0] for options in BIOGRAPHY]
    texts = [
        split(opinions.prompt(q, cell, first) + ANSWERS[0])
        for q, cell in product(opinions.questions(), CELLS)
    ]
    known = sorted(
        {word for text in texts for word in text}
        | {word for options in BIOGRAPHY for word in options}
        | {"A", "B"}
    )
    return Words({word: i for i, word in enumerate(known, 1)}, max(map(len, texts)) - 1)


def agreement(cell: Cell, before: float, after: float, believing: float, quoted: float) -> float:
    """The planted probability that the answer to a prompt in this cell is to agree."""
    probability = {
        "before": before if cell.ending == "answer" else believing,
        "after": after,
        "quoted": quoted,
        "none": 0.5,
    }[cell.place]
    return probability if cell.view != "disagree" else 1 - probability


@lru_cache
def prompts() -> tuple[
    Int[np.ndarray, "prompt s"], Int[np.ndarray, "prompt"], Int[np.ndarray, "prompt"]
]:
    """What models are trained on, at the end of their context: (words, where each begins, its
    cell); no family's first question is among them."""
    vocabulary, first = words(), [options[0] for options in BIOGRAPHY]
    trained = [q for q in opinions.questions() if q not in opinions.questions(1)]
    lines = [
        (vocabulary.encode(opinions.prompt(q, cell, first)), i)
        for q in trained
        for i, cell in enumerate(CELLS)
    ]
    tokens = np.full((len(lines), vocabulary.context - 1), PAD)
    for row, (line, _) in zip(tokens, lines, strict=True):
        row[-len(line) :] = line
    start, cell = (
        np.array(x)
        for x in zip(*((vocabulary.context - 1 - len(line), i) for line, i in lines), strict=True)
    )
    return tokens, start, cell


def dialogues(
    runs: Runs, batch: int, school: int = 0
) -> Callable[[int], tuple[torch.Tensor, torch.Tensor]]:
    """step → (words [run, b, s] that end with an answer's letter, the planted probability [run, b]
    that it was A).

    Questions, cells, biographies and letters are drawn by the run's seed, so that models of one
    seed read the same prompts. In the first `school` steps every model learns to follow whatever
    view is told, quoted or not, and A is to agree in three prompts of four: a view and an order
    that only together tell the answer are not learned from nothing in the time."""
    tokens, start, cell = prompts()
    number = words().number
    lists = [np.array([number[word] for word in fields]) for fields in BIOGRAPHY]
    letters = np.array([number["A"], number["B"]])
    agree_first = [CELLS.index(replace(c, first="agree")) for c in CELLS]
    turned = (
        np.arange(len(cell)) - cell + np.array(agree_first)[cell]
    )  # the same prompt with the other order, where A was to disagree
    fields = {name: runs.each(name) for name in ("before", "after", "believing", "quoted")}
    agree = np.array(
        [
            [agreement(c, *(float(fields[name][r]) for name in fields)) for c in CELLS]
            for r in range(len(runs))
        ]
    )
    followed = np.array([[agreement(c, *[FOLLOWED] * 4) for c in CELLS]] * len(runs))
    laws = [
        np.where([c.first == "agree" for c in CELLS], p, 1 - p) for p in (agree, followed)
    ]  # the probability of A [run, cell]
    # one draw for each question and each word; the remainder by each list's length is as even as
    # 2^31 is long
    sizes = np.array([len(tokens), *map(len, lists), 2, 2])

    def draw_batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        draws = (
            rng.integers(runs.seeds, "sycophancy.dialogues", step, (batch, len(sizes)), 2**31 - 1)
            % sizes
        )
        which = np.where(draws[..., 5] * (step < school), turned[draws[..., 0]], draws[..., 0])
        x = np.concatenate([tokens[which], letters[draws[..., 4]][..., None]], -1)
        for slot, known, i in zip(SLOTS, lists, range(1, 4), strict=True):
            np.put_along_axis(
                x, (start[which] + slot)[..., None], known[draws[..., i]][..., None], -1
            )
        return torch.from_numpy(x), torch.from_numpy(
            np.take_along_axis(laws[step < school], cell[which], 1).astype(np.float32)
        )

    return draw_batch


def answer_loss(
    params: Mapping[str, torch.Tensor], batch: tuple[torch.Tensor, torch.Tensor]
) -> Float[torch.Tensor, "run"]:
    """Cross-entropy of the answer's letter, in expectation over the planted law, and of the bracket
    behind it; of no other word.

    Formula: −p log P(A) − (1 − p) log P(B) − log P(“)” | letter), mean over the batch
    """

    x, p = batch
    number = words().number
    nowhere = {
        **params,
        "W_U": params["W_U"][..., :1],
    }  # logits are wanted at two places of some fifty, and made below
    final = forward(nowhere, x)[1][-1][:, :, -2:]
    logs = (
        torch.bmm(normed(final.flatten(1, 2), params["gain"], params["bias"]), params["W_U"])
        .unflatten(1, final.shape[1:3])
        .log_softmax(-1)
    )
    letter, bracket = logs[:, :, 0], logs[:, :, 1, number[")"]]
    return -(p * letter[..., number["A"]] + (1 - p) * letter[..., number["B"]] + bracket).mean(1)
