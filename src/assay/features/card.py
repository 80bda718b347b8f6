"""FeatureCard: everything that one card shows, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """One firing in its context: token strings and the feature's activation on each; `at` is the
    place of the firing token."""

    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    at: int
    document: str
    position: int


@dataclass(frozen=True)
class Group:
    """Examples from one quarter of the feature's activation distribution, with the activations they
    span."""

    title: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class FeatureCard:
    """One feature as a card shows it; `drawn` says that it was chosen by lot for the first
    twenty."""

    address: str
    index: int
    drawn: bool
    firings: int
    density: float
    maximum: float
    purity: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    top: tuple[Example, ...]
    groups: tuple[Group, ...]
    promoted: tuple[tuple[str, float], ...]
    suppressed: tuple[tuple[str, float], ...]
