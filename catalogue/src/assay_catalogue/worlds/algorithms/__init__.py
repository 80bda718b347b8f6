"""Algorithmic tasks for small transformers: how inputs are drawn, what the answer is, and models
that have the answer by construction."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
