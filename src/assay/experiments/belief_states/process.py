"""Which process emits the tokens, and all its prefixes as a tree."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from assay.worlds.hidden_markov.process import HiddenMarkov, PrefixTree, mess3, rrxor


class Emitted(Protocol):
    """What says which process it is: a spec, or its values by themselves."""

    @property
    def process(self) -> str: ...
    @property
    def x(self) -> float: ...
    @property
    def alpha(self) -> float: ...


@lru_cache
def emitting_process(process: str, x: float, alpha: float) -> HiddenMarkov:
    """The process that emits the tokens. Raises: DataError for an impossible x or alpha."""
    return rrxor() if process == "rrxor" else mess3(x, alpha)


@lru_cache(maxsize=8)
def prefixes_of(process: str, x: float, alpha: float, length: int) -> PrefixTree:
    """The tree of all prefixes of at most this length."""
    return emitting_process(process, x, alpha).tree(length)


def tree_of(s: Emitted, length: int) -> PrefixTree:
    """The tree of prefixes for the process of a spec."""
    return prefixes_of(s.process, s.x, s.alpha, length)
