"""Steps of optimisers on a slope that samples disturb: how each is drawn, and its covariance in closed form."""

from assay.core.lazy import modules

__getattr__, __dir__ = modules(__name__, __path__)
