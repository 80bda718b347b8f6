"""Studies: experiments that somebody wrote as data: what to run, which fields to vary, and claims
in words of their own."""

from assay.core.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
