"""Questions: which experiments of the catalogue ask about the same thing, for every list of them; one that is not named stands last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

QUESTIONS = {
    "How does a network store more features than it has dimensions?": (
        "superposition", "superposition-phase", "superposition-collapse", "capacity", "features-per-dimension",
    ),
    "What do sparse autoencoders find, and which part of them does it?": (
        "gated-sae", "gated-ablations", "sae-zoo", "lm-importance", "targets", "superposition-sae", "ultra-rare-features",
    ),
    "Why does learning come in stages?": ("s-curves", "deep-linear", "llc", "superposition-llc", "grokking-efficiency", "grokking-frequencies"),
    "What does the noise of training look like?": ("sgd-noise", "selection-noise", "lock-step"),
    "What do networks know, and what do they care for?": ("belief-states", "myopia"),
    "When is an evaluation due, and what does an experiment cost?": ("eval-schedule", "compute-planner"),
}  # fmt: skip
OTHERS = "Others"


class Named(Protocol):
    """Whatever has an experiment's name."""

    @property
    def name(self) -> str:
        """The name."""
        ...


E = TypeVar("E", bound=Named)


def by_question(entries: Iterable[E]) -> dict[str, list[E]]:
    """Group what is named after experiments by the question that they ask, in reading order."""
    left = {entry.name: entry for entry in entries}
    found = {question: [left.pop(name) for name in names if name in left] for question, names in QUESTIONS.items()}
    return {question: own for question, own in (found | {OTHERS: list(left.values())}).items() if own}
