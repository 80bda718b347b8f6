"""Challenges: circuits that are planted from a seed, disguised, and given out without a word of the
answer; answers are scored blind."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
