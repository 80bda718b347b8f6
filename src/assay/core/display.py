"""Shown: a value that a notebook draws or that is printed in full, and who follows long work there.

What draws lies above core: the package's front door says what it is, and that is imported when
something is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

_drawing: list[Callable[[], ModuleType]] = []


def draw_with(module: Callable[[], ModuleType]) -> None:
    """Say what gives the module whose `html` and `text` draw what is shown, and whose `Progress`
    and `lines` follow long work."""
    _drawing[:] = [module]


class Shown:
    """A value that looks like something in a notebook."""

    def _repr_html_(self) -> str:
        """Draw it as HTML."""
        return str(_drawing[0]().html(self))

    def chart(self, number: int = 0) -> Any:
        """Draw one of its figures as an Altair chart, which can be changed and saved.

        Args:
            number: which figure, from 0.
        Raises: AssayError without altair, and for what has no such figure.
        """
        return _drawing[0]().chart(self, number)


class Printed:
    """A value that is printed as a terminal shows it."""

    def __str__(self) -> str:
        return str(_drawing[0]().text(self))


def write(value: Any, folder: str | Path) -> None:
    """Write the report of a value into a folder, with its numbers and figures."""
    _drawing[0]().write(value, Path(folder))


def follower() -> Callable[..., None] | None:
    """Give what shows progress under a notebook's cell; None outside of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return _drawing[0]().Progress() if getattr(shell, "kernel", None) is not None else None


def lines(name: str) -> Callable[..., None]:
    """Give what prints the progress of a run of this name as lines on standard error."""
    return _drawing[0]().lines(name)
