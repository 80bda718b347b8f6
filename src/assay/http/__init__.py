"""HTTP: who may ask, and how connections are answered, for pages, programs and agents alike."""

from assay.core.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
