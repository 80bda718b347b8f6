"""The epoch game: work, invest or shut down; agents that learn it, and its best course."""

from assay.core.lazy import modules

__getattr__, __dir__ = modules(__name__, __path__)
