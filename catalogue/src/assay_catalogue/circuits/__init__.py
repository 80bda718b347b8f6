"""Circuits: explanations of small models as values, how they are found, and how they are held to
the model."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
