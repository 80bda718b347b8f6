"""Libraries that take long to import: each is loaded when something of it is first used.

Files import them from here, at their top; a command pays for none that it does not need:

    from assay.core.heavy import torch, xr
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx as httpx
    import scipy as scipy
    import torch as torch
    import xarray as xr
else:
    SHORT = {"xarray": "xr"}

    class _Deferred(ModuleType):
        """Stands for a module of the same name. A stand-in in `sys.modules`, as
        `importlib.util.LazyLoader` leaves, would be loaded by every library that asks whether torch
        is there, and threads that meet in it see half a module."""

        def __getattr__(self, name: str) -> Any:
            # Import takes the lock of the module, so that no thread sees half of it. From then on
            # the file that asked has the module itself: a look through here takes 4 µs, and a step
            # of a toy looks some sixteen times.
            module = import_module(self.__name__)
            names = sys._getframe(1).f_globals
            short = SHORT.get(self.__name__, self.__name__)
            if names.get(short) is self:
                names[short] = module
            return getattr(module, name)

        def __dir__(self) -> list[str]:
            return dir(import_module(self.__name__))

    httpx = _Deferred("httpx")
    scipy = _Deferred("scipy")
    torch = _Deferred("torch")
    xr = _Deferred("xarray")
