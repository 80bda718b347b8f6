"""Sparse dictionaries: the Dictionary value, nonlinearities, losses, training, metrics and repairs.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.lazy import lazy

# ruff: noqa: F401
if TYPE_CHECKING:
    from assay.dictionaries.baselines.linear import pca
    from assay.dictionaries.baselines.repair import refit_decoder, rescale_and_shift, shrunk
    from assay.dictionaries.dictionary import Dictionary, Sparse
    from assay.dictionaries.gates import Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU
    from assay.dictionaries.jump import JumpReLU
    from assay.dictionaries.nonlinearity import Identity, Nonlinearity, ReLU, Rescaled
    from assay.dictionaries.selection import AbsTopK, BatchTopK, GroupMax, TopK
    from assay.dictionaries.training.dead import Keep, Resample
    from assay.dictionaries.training.endtoend import fit_end_to_end
    from assay.dictionaries.training.freezing import freeze
    from assay.dictionaries.training.sparsity import TargetL0
    from assay.dictionaries.training.train import Method, fit_dictionaries
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
