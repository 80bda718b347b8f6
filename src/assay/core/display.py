"""Shown: a value that a notebook draws or that is printed in full, and who follows long work there.

What draws lies above core: the package's front door says what it is, and that is imported when
something is shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

WEIGHTS = (
    r"prompts have exactly the same number|others are in the call",
    r"to lose|could be lost|no test|(?:excludes|rules) nothing|separates? the labels",
    r"the outcome (?:changes|would be)|\bit would |interval would be|satisf(?:y|ies|ied) the claim",
    r"allowing for this|interval|clusters|outliers?,|exactly the same number|differ, by",
)
"""What notes say that question how the numbers were made, that question or bear on the verdict, and
that bear on the interval."""
_drawing: list[Callable[[], ModuleType]] = []


def draw_with(module: Callable[[], ModuleType]) -> None:
    """Say what gives the module whose `html` and `text` draw what is shown, and whose `Progress`
    and `lines` follow long work."""
    _drawing[:] = [module]


class Shown:
    """A value that looks like something in a notebook."""

    def _repr_html_(self) -> str:
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


def by_weight(notes: Iterable[str]) -> tuple[str, ...]:
    """Give the notes on a verdict in order: those that question its numbers, those that bear on it
    or on its interval, and others."""
    return tuple(sorted(notes, key=lambda x: [not re.search(says, x) for says in WEIGHTS]))
