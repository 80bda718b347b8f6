"""Addition modulo a prime: pairs, networks that learn it, their frequencies, and what a circuit for it costs."""

from assay.core.lazy import modules

__getattr__, __dir__ = modules(__name__, __path__)
