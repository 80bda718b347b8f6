"""Exercises: what a reader of the exercise pages holds an own answer to, one module a page, one
function an exercise."""

from assay.core.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
