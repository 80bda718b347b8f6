"""The measures of a dictionary as plain functions: `assay.metrics.shrinkage(x, x_hat)`, on NumPy arrays or torch tensors.

A short name for `assay.dictionaries.measuring.metrics`, where the functions and their formulas are.
"""

from importlib import import_module


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module("assay.dictionaries.measuring.metrics"), name)


def __dir__() -> list[str]:
    return list(import_module("assay.dictionaries.measuring.metrics").__all__)
