"""Api: submitted work over HTTP: who may ask, what is answered, and what describes it."""

from assay.core.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
