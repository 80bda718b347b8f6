"""Where numbers come from: text cut into windows, harvested activations, and planted inputs.

Names are loaded when first used, so that importing this package costs nothing.
"""

from importlib import import_module

_HOME = {
    "corpus": ("Corpus", "Windows"),
    "harvest": ("Harvest", "HarvestSpec", "harvest", "inputs"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(f"assay.data.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'assay.data' has no attribute {name!r}")
