"""Jobs: experiments and studies that somebody submitted, which run one after the other and outlive
whoever asked."""

from assay.core.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
