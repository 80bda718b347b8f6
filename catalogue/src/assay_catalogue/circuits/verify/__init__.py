"""Explanations held to the model: by ablation, scrubbing, another implementation, adversarial
inputs and interchange."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
