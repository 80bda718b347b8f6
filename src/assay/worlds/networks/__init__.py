"""Small networks with a run axis that any world may train, and classification tasks whose best accuracy is known."""

from assay.core.lazy import modules

__getattr__, __dir__ = modules(__name__, __path__)
