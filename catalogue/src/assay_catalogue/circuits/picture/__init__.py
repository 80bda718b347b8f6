"""Picture: what is to be seen of one small model and its explanation, as plain numbers that pages
and figures show."""

from assay.core.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
