"""Questions: which experiments of the catalogue ask about the same thing, for every list of them;
one that is not named stands last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

MONTHLY = "How are nine puzzles solved? (--long)"
QUESTIONS = {
    "How does a network store more features than it has dimensions?": {
        "superposition": "More features stored than dimensions?",
        "superposition-phase": "Is a second feature stored or dropped?",
        "superposition-collapse": "Which features go as inputs get denser?",
        "capacity": "How do features share the dimensions?",
        "features-per-dimension": "Do sizes of weights count features?",
    },
    "What do sparse autoencoders find, and which part of them does it?": {
        "gated-sae": "Shrinkage gone? What is a gate worth?",
        "gated-ablations": "What is each part of Gated worth?",
        "sae-zoo": "Which SAE leads at any width and length?",
        "metric-audit": "Which measures of SAEs can be believed?",
        "lm-importance": "What is each feature of an LM worth?",
        "streetlight": "Have things named first good features?",
        "autointerp-io": "Do inputs or outputs explain a feature?",
        "targets": "What should an MLP's dictionary rebuild?",
        "end-to-end": "Train dictionaries through the model?",
        "dictionary-weights": "Is a dictionary dense over neurons?",
        "clt-faithful": "Do transcoders keep hops apart?",
        "path-split": "Can a dictionary keep paths apart?",
        "superposition-sae": "Do SAEs find a toy's important features?",
        "ultra-rare-features": "Are ultra-rare features dying ones?",
    },
    "Why does learning come in stages, and what is its noise like?": {
        "s-curves": "Why does a loss stand still, then fall?",
        "deep-linear": "Do layers change how a map is learned?",
        "llc": "Do samplers find known coefficients?",
        "superposition-llc": "How complex is each stage of training?",
        "grokking-efficiency": "Do nets grok where that costs less?",
        "grokking-frequencies": "Which frequencies does grokking keep?",
        "sgd-noise": "In which directions does SGD noise lie?",
        "selection-noise": "When is selection like a gradient?",
        "lock-step": "Is a step of evolution like one of SGD?",
    },
    "What do networks know, and what do they care for?": {
        "belief-states": "Does a transformer track hidden states?",
        "glitch-tokens": "Do weights betray tokens never seen?",
        "mamba-induction": "How does a state space recall a pair?",
        "myopia": "Can an agent be made myopic?",
        "sycophancy": "Do models answer as their users would?",
        "memorisation": "What is memorised, and what hides it?",
        "interpretable-capability": "Does understood ability have a valley?",
        "monthly-palindromes": MONTHLY,
        "monthly-first-unique": MONTHLY,
        "monthly-digit-sum": MONTHLY,
        "monthly-sorted-list": MONTHLY,
        "monthly-running-sum": MONTHLY,
        "monthly-caesar": MONTHLY,
        "monthly-trigrams": MONTHLY,
        "monthly-maximum": MONTHLY,
        "monthly-distinct": MONTHLY,
    },
    "When is an evaluation due, and what does an experiment cost?": {
        "eval-schedule": "How late do evaluations find an ability?",
        "compute-planner": "Do planned times and widths come true?",
    },
}
"""Question → the experiments that ask it → what each asks, as short as a line of a list: at most 42
letters.

Neighbours that ask the same share a line of a list."""
ASKS = {name: asks for named in QUESTIONS.values() for name, asks in named.items()}
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
    found = {
        question: [left.pop(name) for name in names if name in left]
        for question, names in QUESTIONS.items()
    }
    return {
        question: own for question, own in (found | {OTHERS: list(left.values())}).items() if own
    }
