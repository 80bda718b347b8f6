"""Evaluating dictionaries that someone has, on a model and a text that someone has: what it costs, with intervals, and looking at one text.

Names are loaded when first used, so that importing this package costs nothing.
"""

from typing import TYPE_CHECKING

from assay.core.lazy import lazy

# ruff: noqa: F401
if TYPE_CHECKING:
    from assay.evaluation.evaluating import evaluate
    from assay.evaluation.looking import Look, look
    from assay.evaluation.result import Evaluation
    from assay.evaluation.setting import Setting
else:
    __getattr__, __dir__, __all__ = lazy(__name__)
