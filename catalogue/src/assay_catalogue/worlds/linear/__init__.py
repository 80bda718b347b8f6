"""A matrix learned as a product of factors: plain and deep linear networks, and their curves in
closed form."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
