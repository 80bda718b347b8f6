"""Ways to find a circuit, each of them one question put to one decoder: `question` says what all
are asked."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
