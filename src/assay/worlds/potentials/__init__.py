"""Losses whose learning coefficient is known, and Langevin chains on them."""

from assay.core.lazy import modules

__getattr__, __dir__ = modules(__name__, __path__)
