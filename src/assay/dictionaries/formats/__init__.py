"""Other libraries' dictionaries: `load` reads any of their files, `write` gives them one.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.heavy import lazy

if TYPE_CHECKING:
    from assay.dictionaries.formats.opening import FORMATS, load  # noqa: F401
    from assay.dictionaries.formats.writing import write  # noqa: F401
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
