"""A matrix learned as a product of factors: plain and deep linear networks, and their curves in closed form."""

from assay.core.lazy import modules

__getattr__, __dir__ = modules(__name__, __path__)
