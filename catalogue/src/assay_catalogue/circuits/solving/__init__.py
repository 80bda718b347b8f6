"""Small models that are trained to solve a problem, then explained: one experiment for each
problem, of the same arms, measures and claims."""

from assay.core.heavy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
