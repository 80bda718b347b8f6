"""Which models a block has: some trained on random subsets, one on everything, others without the
documents that a selector finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool

from assay.train import rng
from assay_catalogue.worlds.memory import selectors
from assay_catalogue.worlds.memory.corpus import PLUS, Corpus, plant
from assay_catalogue.worlds.memory.subsets import balanced

MIXED = ("mixed 1", "mixed 2")
"""The near-duplicates and the topic with their labels exchanged by lot: two families of 32
documents that share nothing of their own."""
FEWER = ("2 copies", "4 copies", "8 copies", "16 copies")
"""Families that are removed together, since none stands in for another."""
WHOLE = ("once", "predictable", "32 copies", "topic", *MIXED)
LITERALS = {
    "32 copies": (1, 2),
    "topic": (4, 6, 8, 10, 12),
    MIXED[0]: (1, 2, 3, 4),
    MIXED[1]: (1, 2, 3, 4),
}
BAGS = {"32 copies": (1, 2, 4), "topic": (1, 2, 3)}
"""How many literals, and how many symbols, the selectors may use that are tried on each family."""
RUNGS = [
    (family, f"{k} {what}")
    for family in LITERALS
    for what, table in (("literals", LITERALS), ("symbols", BAGS))
    for k in table.get(family, ())
]
RULES = ("rule by literals", "rule by one symbol", "rule without a budget")


@dataclass(frozen=True, eq=False)
class Removal:
    """Documents that one model is trained without."""

    name: str
    chosen: Bool[np.ndarray, doc]
    family: str = ""
    """What the selector is after."""
    bits: float = float("nan")
    """What the selector costs; NaN where none was used."""


@dataclass(frozen=True, eq=False)
class Block:
    """A corpus, and which of its documents each model is trained on: first the subset models, then
    one on all, then the removals."""

    corpus: Corpus
    kept: Bool[np.ndarray, "model doc"]
    subsets: int
    removals: tuple[Removal, ...]
    budget: int
    """Most documents that a selector may remove."""

    @property
    def watched(self) -> Bool[np.ndarray, doc]:
        """Documents whose losses are asked for: all but background that nothing removes."""
        return ~self.corpus.of("background") | np.any([r.chosen for r in self.removals], axis=0)

    def family(self, name: str) -> Bool[np.ndarray, doc]:
        """The documents of a family, an exchanged one as well."""
        return next((r.chosen for r in self.removals if r.name == name), self.corpus.of(name))


@lru_cache(maxsize=16)
def block(seed: int, documents: int, models: int, rate: float, share: float) -> Block:
    """The block of one seed. Raises: SpecError for subsets that no design has."""
    corpus = plant(seed, documents)
    budget = int(share * documents)
    removals = tuple(_removals(corpus, seed, budget))
    subsets = balanced(seed, models, len(corpus.tokens), rate)
    membership = np.concatenate(
        [subsets, np.ones((1, len(corpus.tokens)), bool), *[~r.chosen[None] for r in removals]]
    )
    return Block(corpus, membership, models, removals, budget)


def _removals(corpus: Corpus, seed: int, budget: int) -> Iterator[Removal]:
    gen = rng.generator(seed, "memorisation.removals")
    both = gen.permutation(np.flatnonzero(corpus.of("32 copies", "topic")))
    mixed = dict(
        zip(
            MIXED,
            (np.isin(np.arange(len(corpus.kind)), half) for half in np.array_split(both, 2)),
            strict=True,
        )
    )
    families = {name: mixed[name] if name in mixed else corpus.of(name) for name in WHOLE}
    for name, members in families.items():
        yield Removal(name, members, name)
    yield Removal("fewer copies", corpus.of(*FEWER))
    for family, most in LITERALS.items():
        unions = selectors.unions(corpus, families[family], max(most), budget)
        for k in most:
            yield rung(family, f"{k} literals", unions[min(k, len(unions)) - 1])
        for k in BAGS.get(family, ()):
            members = families[family]
            yield rung(
                family,
                f"{k} symbols",
                selectors.one_symbol(corpus, members, budget)
                if k == 1
                else selectors.bag(corpus, members, k, budget),
            )
    rule = corpus.of("rule")
    rules = (
        selectors.unions(corpus, rule, budget, budget)[-1],
        selectors.one_symbol(corpus, rule, budget),
        selectors.containing(corpus, PLUS),
    )
    for name, s in zip(RULES, rules, strict=True):
        yield Removal(name, s.chosen, "rule", s.bits)
    background = gen.permutation(np.flatnonzero(corpus.of("background")))[:budget]
    yield Removal("random", np.isin(np.arange(len(corpus.kind)), background))


def rung(family: str, name: str, selector: selectors.Selector) -> Removal:
    """One selector that is tried on a family."""
    return Removal(f"{family}: {name}", selector.chosen, family, selector.bits)
