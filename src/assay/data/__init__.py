"""Where numbers come from: text cut into windows, harvested activations, and planted inputs.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.heavy import lazy

if TYPE_CHECKING:
    from assay.data.corpus import Corpus, Windows  # noqa: F401
    from assay.data.harvest import Harvest, HarvestSpec, harvest, inputs  # noqa: F401
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
