"""Where numbers come from: text cut into windows, harvested activations, and planted inputs.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.lazy import lazy

# ruff: noqa: F401
if TYPE_CHECKING:
    from assay.data.corpus import Corpus, Windows
    from assay.data.harvest import Harvest, HarvestSpec, harvest, inputs
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
