"""Specs, runs, randomness, the training loop, measures, claims and statistics, figures, the Experiment value.

Names are loaded when first used, so that importing this package costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # where a file and the function in it share a name, say which one is meant
    from assay.core.descent import descent as descent
    from assay.core.fit import fit as fit
    from assay.core.langevin import langevin as langevin
    from assay.core.measures import measures as measures

_HOME = {
    "errors": ("AssayError", "ClaimError", "DataError", "ExperimentError", "ModelError", "RunError", "SpecError", "StoreError"),
    "spec": ("PerRun", "Spec", "SpecMap", "added", "changed", "grid", "key", "removed", "renamed", "reserved", "variant"),
    "runs": ("Runs",),
    "bench": ("Bench", "Slot"),
    "experiment": ("Arm", "Arms", "Cost", "Derive", "Experiment", "Joint"),
    "fit": ("Group", "State", "Trained", "fit"),
    "descent": ("Adam", "adam_state", "descent"),
    "langevin": ("langevin",),
    "schedules": ("constant", "cosine", "probes", "warm_up", "warm_up_decay"),
    "measures": ("by", "measures", "stack"),
    "claims": ("Claim", "Exact", "Finding", "Gate", "Published", "Value", "converged"),
    "judging": ("judge",),
    "figures": ("Figure", "columns", "curve", "summary"),
}
_WHERE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"assay.core.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'assay.core' has no attribute {name!r}")


class _Core(ModuleType):
    """Keeps `assay.core.fit` the function: importing the file fit.py would otherwise bind the name to the module."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _WHERE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Core
