"""What is looked into: language models with named sites.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.heavy import lazy

if TYPE_CHECKING:
    from assay.subjects import edits  # noqa: F401
    from assay.subjects.batches import run_many  # noqa: F401
    from assay.subjects.fetch import fetch_model  # noqa: F401
    from assay.subjects.folder import ModelFolder  # noqa: F401
    from assay.subjects.pretrained import Pretrained, fast_dtype, load  # noqa: F401
    from assay.subjects.site import Site  # noqa: F401
    from assay.subjects.subject import Edit, Trace  # noqa: F401
    from assay.subjects.tokenizer import Tokenizer  # noqa: F401
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
