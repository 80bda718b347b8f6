"""Shown: a value that a notebook draws, and who follows long work there.

What draws lies above core, and is found by its name when something is shown: nothing is imported before.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module


class Shown:
    """A value that looks like something in a notebook."""

    def _repr_html_(self) -> str:
        """Draw it as HTML."""
        return str(import_module("assay.notebook").html(self))


def follower() -> Callable[..., None] | None:
    """Give what shows progress under a notebook's cell; None outside of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return import_module("assay.notebook").Progress() if getattr(shell, "kernel", None) is not None else None
