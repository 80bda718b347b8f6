"""Other libraries' dictionaries: `load` reads any of their files, `write` gives them one, `self_test` says whether it reconstructs.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.lazy import lazy

# ruff: noqa: F401
if TYPE_CHECKING:
    from assay.dictionaries.formats.opening import FORMATS, load
    from assay.dictionaries.formats.trial import Trial, self_test
    from assay.dictionaries.formats.writing import write
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
