"""Tokens of a process with a hidden state: its exact Bayes filter, its prefixes, and what a belief
decides."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
