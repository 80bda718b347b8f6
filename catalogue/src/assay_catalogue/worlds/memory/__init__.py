"""Corpora in which it is planted what has to be memorised: subsets, models of them, what removing
documents costs, closed forms."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
