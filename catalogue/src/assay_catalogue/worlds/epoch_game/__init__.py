"""The epoch game: work, invest or shut down; agents that learn it, and its best course."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
