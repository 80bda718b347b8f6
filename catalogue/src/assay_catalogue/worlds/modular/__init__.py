"""Addition modulo a prime: pairs, networks that learn it, their frequencies, and what a circuit for
it costs."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
