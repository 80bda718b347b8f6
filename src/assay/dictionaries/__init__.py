"""Sparse dictionaries: the Dictionary value, nonlinearities, losses, training, metrics and repairs.

Names are loaded when first used, so that importing this package costs nothing.
"""

from importlib import import_module

_HOME = {
    "dictionary": ("Dictionary", "Sparse"),
    "nonlinearity": ("Identity", "Nonlinearity", "ReLU", "Rescaled"),
    "gates": ("Gated", "GatedShift", "GatedSigmoid", "GatedUntied", "ScaledReLU"),
    "jump": ("JumpReLU",),
    "selection": ("AbsTopK", "BatchTopK", "GroupMax", "TopK"),
    "training.train": ("Method", "fit_dictionaries"),
    "training.endtoend": ("fit_end_to_end",),
    "training.dead": ("Keep", "Resample"),
    "training.sparsity": ("TargetL0",),
    "baselines.linear": ("pca",),
    "baselines.repair": ("refit_decoder", "rescale_and_shift", "shrunk"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> object:
    if name in _WHERE:
        return getattr(import_module(f"assay.dictionaries.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'assay.dictionaries' has no attribute {name!r}")
