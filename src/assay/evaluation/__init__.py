"""Evaluating dictionaries that someone has, on a model and a text that someone has: what it costs,
with intervals, and looking at one text.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.heavy import lazy

if TYPE_CHECKING:
    from assay.evaluation.evaluating import evaluate  # noqa: F401
    from assay.evaluation.looking import Look, look  # noqa: F401
    from assay.evaluation.result import Evaluation  # noqa: F401
    from assay.evaluation.setting import Setting  # noqa: F401
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
