"""Losses whose learning coefficient is known, and Langevin chains on them."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
