"""Small networks with a run axis that any world may train, and classification tasks whose best
accuracy is known."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
