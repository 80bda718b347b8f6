"""The bottleneck autoencoder on sparse features: the toy model, its exact losses and states, what a
dimension is worth."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
