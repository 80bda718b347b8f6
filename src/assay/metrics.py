"""The measures of a dictionary as plain functions: `assay.metrics.shrinkage(x, x_hat)`, on NumPy
arrays, torch tensors or lists.

A short name for `assay.dictionaries.measuring.metrics`, where the functions and their formulas are.
"""

from assay.dictionaries.measuring.metrics import *  # noqa: F403
