"""The bottleneck autoencoder on sparse features: the toy model, its exact losses and states, what a dimension is worth."""

from assay.core.lazy import modules

__getattr__, __dir__ = modules(__name__, __path__)
