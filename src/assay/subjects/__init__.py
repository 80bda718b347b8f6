"""What is looked into: language models with named sites.

Names are loaded when first used, so that importing this package costs nothing.
"""

from importlib import import_module

_HOME = {
    "site": ("Site",),
    "subject": ("Edit", "Subject", "Trace"),
    "folder": ("ModelFolder", "Tokenizer"),
    "pretrained": ("Pretrained", "fast_dtype", "load"),
    "fetch": ("fetch_smollm2",),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(f"assay.subjects.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'assay.subjects' has no attribute {name!r}")
