"""Ask: a study about a named model, from its text to the values that it becomes, and the experiment
composed from them. What its prompts and models become numbers by is in `measure`."""

from assay.core.lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__)
