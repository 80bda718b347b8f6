"""Steps of optimisers on a slope that samples disturb: how each is drawn, and its covariance in
closed form."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
