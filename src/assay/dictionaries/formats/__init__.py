"""Other libraries' dictionaries: `load` reads any of their files, `write` gives them one, `self_test` says whether it reconstructs.

Names are loaded when first used, so that importing this package costs nothing.
"""

from importlib import import_module

_HOME = {"opening": ("FORMATS", "load"), "writing": ("write",), "trial": ("Trial", "self_test")}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(f"assay.dictionaries.formats.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'assay.dictionaries.formats' has no attribute {name!r}")
