"""What is looked into: language models with named sites.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.lazy import lazy

# ruff: noqa: F401
if TYPE_CHECKING:
    from assay.subjects.fetch import fetch_smollm2
    from assay.subjects.folder import ModelFolder, Tokenizer
    from assay.subjects.pretrained import Pretrained, fast_dtype, load
    from assay.subjects.site import Site
    from assay.subjects.subject import Edit, Subject, Trace
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
