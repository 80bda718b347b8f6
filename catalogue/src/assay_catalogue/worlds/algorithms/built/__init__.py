"""Transformers whose weights are written down, not trained: what they do, and through which parts,
is known."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
