"""Functions that select documents, each with its cost in bits: literals, unions of them, weighted
bags of symbols."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from assay_catalogue.worlds.memory.corpus import SYMBOLS, Corpus, literals

SHORTEST, LONGEST = 4, 12
"""Tokens of a literal that a selector may ask for."""
PURE = 0.8
"""The least share of a selection that has to lie in the family that it is to remove."""
WEIGHT = 4
"""Bits for a weight."""
DEEPEST = 7
"""The largest weight of a bag of symbols, in either sign: 15 numbers, 4 bits."""


@dataclass(frozen=True, eq=False)
class Selector:
    """A function that selects documents: what it is, what it costs, what it selects."""

    name: str
    bits: float
    chosen: Bool[np.ndarray, " doc"]


def inside(chosen: Bool[np.ndarray, " doc"], family: Bool[np.ndarray, " doc"]) -> float:
    """The share of a selection that lies in a family; 0 of an empty one."""
    return float(family[chosen].mean()) if chosen.any() else 0.0


@lru_cache(maxsize=8)
def _literals(corpus: Corpus) -> float:
    """How many distinct literals there are that a selector may ask for."""
    tokens = corpus.tokens[corpus.seen]
    return float(sum(len(np.unique(literals(tokens, n))) for n in range(SHORTEST, LONGEST + 1)))


def literal_bits(corpus: Corpus) -> float:
    """What it costs to name one literal of the corpus, in bits.

    Formula: log2 of the number of distinct literals of 4 to 12 tokens
    """
    return math.log2(_literals(corpus))


def unions(
    corpus: Corpus, family: Bool[np.ndarray, " doc"], most: int, budget: int
) -> list[Selector]:
    """Find, greedily, documents with the first 1, 2, … `most` literals that cover a family; fewer
    where no further one helps.

    Literals of four tokens, the shortest there are: a longer one selects no document that its parts
    do not. Each is the one that adds most documents of the family, less four times those it adds
    elsewhere; a selection stays within the budget and is at least 0.8 inside the family. Formula:
    bits = k · literal_bits + log2 k"""
    training_mask, bits = corpus.seen, literal_bits(corpus)
    # 2⁶³ is no literal's number: four symbols make small ones. So unseen documents have none.
    codes = np.where(training_mask[:, None], literals(corpus.tokens, SHORTEST), np.uint64(2**63))
    offered = np.unique(codes[family & training_mask])
    has = np.stack([(codes == code).any(1) for code in offered])
    chosen, selectors = np.zeros(len(training_mask), dtype=bool), []
    for k in range(1, most + 1):
        new = has & ~chosen
        gain = (new & family).sum(1) - 4 * (new & ~family).sum(1)
        size = chosen.sum() + new.sum(1)
        pure = ((chosen & family).sum() + (new & family).sum(1)) >= PURE * size
        gain = np.where((size <= budget) & pure, gain, 0)
        if gain.max() <= 0:
            break
        chosen = chosen | has[int(np.argmax(gain))]
        selectors.append(Selector(f"{k} literal{'s' * (k > 1)}", k * bits + math.log2(k), chosen))
    return selectors


def bag(corpus: Corpus, family: Bool[np.ndarray, " doc"], k: int, budget: int) -> Selector:
    """Find documents with a high weighted count of k symbols, those that tell a family best.

    A symbol's weight is the difference of its mean counts inside and outside over their variance,
    in fifteen steps; the threshold selects most of the family within the budget, at least 0.8
    inside. Formula: bits = k · (log2 V + 4)"""
    training_mask = corpus.seen
    counts = np.stack([(corpus.tokens == v).sum(1) for v in range(SYMBOLS)], 1).astype(np.float64)
    family_counts, other_counts = counts[family & training_mask], counts[~family & training_mask]
    # The addend keeps symbols that hardly ever occur from weighing most.
    spread = (family_counts.var(0) + other_counts.var(0)) / 2 + 0.05
    weight = (family_counts.mean(0) - other_counts.mean(0)) / spread
    # weight · √spread is the difference in standard deviations: how well a symbol tells the two
    # apart.
    best = np.argsort(-np.abs(weight) * np.sqrt(spread), kind="stable")[:k]
    steps = np.round(weight[best] / np.abs(weight[best]).max() * DEEPEST)
    chosen = _above(counts[:, best] @ steps, family, training_mask, budget)
    return Selector(f"{k} symbols", k * (math.log2(SYMBOLS) + WEIGHT), chosen)


def _above(
    score: Float[np.ndarray, " doc"],
    family: Bool[np.ndarray, " doc"],
    training_mask: Bool[np.ndarray, " doc"],
    budget: int,
) -> Bool[np.ndarray, " doc"]:
    """Documents above the threshold that selects most of the family, within the budget and at least
    0.8 inside it; else nothing."""
    best = np.zeros(len(score), dtype=bool)
    for threshold in np.unique(score[training_mask]):
        chosen = training_mask & (score >= threshold)
        if (
            chosen.sum() <= budget
            and inside(chosen, family) >= PURE
            and (chosen & family).sum() > (best & family).sum()
        ):
            best = chosen
    return best


def one_symbol(corpus: Corpus, family: Bool[np.ndarray, " doc"], budget: int) -> Selector:
    """Find documents with one symbol, or so many of it, that select most of a family within the
    budget, at least 0.8 inside it.

    Formula: bits = log2 V + 4, as of a bag of one
    """
    training_mask, best = corpus.seen, np.zeros(len(corpus.kind), dtype=bool)
    for symbol in range(SYMBOLS):
        chosen = _above(
            (corpus.tokens == symbol).sum(1).astype(np.float64), family, training_mask, budget
        )
        if (chosen & family).sum() > (best & family).sum():
            best = chosen
    return Selector("1 symbol", math.log2(SYMBOLS) + WEIGHT, best)


def containing(corpus: Corpus, symbol: int) -> Selector:
    """All documents with one symbol, however many these are: the simplest rule there is. Formula:
    bits = log2 V + 4"""
    return Selector(
        "one symbol, no budget",
        math.log2(SYMBOLS) + WEIGHT,
        corpus.seen & (corpus.tokens == symbol).any(1),
    )


def least_bits(
    bits: Float[np.ndarray, " rung"],
    share: Float[np.ndarray, " rung"],
    otherwise: float,
    damage_share: float = 0.5,
) -> float:
    """The cost in bits of the cheapest selector whose removal does at least `damage_share` of the
    damage that the whole family's does.

    `otherwise` where none does.
    """
    enough = share >= damage_share
    return float(bits[enough].min()) if enough.any() else otherwise
