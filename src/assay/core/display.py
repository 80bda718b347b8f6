"""Shown: a value that a notebook draws, and who follows long work there.

What draws lies above core: the package's front door says which module it is, and that is imported
when something is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

_drawing: list[str] = []


def draw_with(module: str) -> None:
    """Name the module whose `html` draws what is shown, and whose `Progress` follows long work."""
    _drawing[:] = [module]


def _module() -> ModuleType:
    return import_module(_drawing[0])


class Shown:
    """A value that looks like something in a notebook."""

    def _repr_html_(self) -> str:
        """Draw it as HTML."""
        return str(_module().html(self))


def follower() -> Callable[..., None] | None:
    """Give what shows progress under a notebook's cell; None outside of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return _module().Progress() if getattr(shell, "kernel", None) is not None else None
