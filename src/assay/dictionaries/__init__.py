"""Sparse dictionaries: the Dictionary value, nonlinearities, losses, training, metrics and repairs.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.heavy import lazy

if TYPE_CHECKING:
    from assay.dictionaries.baselines.directions import pca, random_directions  # noqa: F401
    from assay.dictionaries.baselines.repair import refit_decoder, rescale_and_shift, shrunk  # noqa: F401
    from assay.dictionaries.dictionary import Dictionary, Sparse  # noqa: F401
    from assay.dictionaries.gates import Gated, GatedShift, GatedSigmoid, GatedUntied, ScaledReLU  # noqa: F401
    from assay.dictionaries.jump import JumpReLU  # noqa: F401
    from assay.dictionaries.nonlinearity import Identity, Nonlinearity, ReLU, Rescaled  # noqa: F401
    from assay.dictionaries.selection import AbsTopK, BatchTopK, GroupMax, TopK  # noqa: F401
    from assay.dictionaries.training.dead import Keep, Resample  # noqa: F401
    from assay.dictionaries.training.freezing import freeze  # noqa: F401
    from assay.dictionaries.training.learners import TargetL0  # noqa: F401
    from assay.dictionaries.training.train import Method, fit_dictionaries  # noqa: F401
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
