"""Evaluating dictionaries that someone has, on a model and a text that someone has: what it costs, with intervals, and looking at one text.

Names are loaded when first used, so that importing this package costs nothing.
"""

from importlib import import_module

_HOME = {"evaluating": ("evaluate",), "looking": ("Look", "look"), "result": ("Evaluation",), "setting": ("Setting",)}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(f"assay.evaluation.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'assay.evaluation' has no attribute {name!r}")
