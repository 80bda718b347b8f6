"""What goes wrong because of what a user gave: one line with a code, and where it is."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


def line(text: str) -> str:
    """A text on one line, with nothing in it that a terminal would obey."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)


class AssayError(Exception):
    """A request that cannot be met as it stands.

    Attributes:
        code: what is wrong, in a word or two with hyphens; stable, for programs and tests.
        message: what is wrong and what would be right, one line.
        at: where it is: a file and line, a field, an argument; empty where there is one place.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, code: str, message: str, at: str = "") -> None:
        super().__init__(code, message, at)
        self.code, self.message, self.at = code, line(message), line(at)

    def __str__(self) -> str:
        where = f"{self.at}: " if self.at else ""
        return f"{where}{self.message} [{self.code}]"


class ClaimError(AssayError):
    """A claim that cannot be judged: an unknown name, a condition that is none."""


class DataError(AssayError):
    """A table, text or file of activations that cannot be used."""


class ModelError(AssayError):
    """A model that is missing or broken, or has no such site."""


class SpecError(AssayError):
    """A setting that does not exist, or has an impossible value."""


class StudyError(AssayError):
    """A study or experiment that cannot be read or run."""


class StoreError(AssayError):
    """A store or result file that is damaged, locked, read-only or full."""


class RunError(AssayError):
    """A run that crashed or diverged."""

    exit_code = 3


def nearest(name: str, names: Iterable[str], most: int = 12) -> str:
    """The name that was probably meant, else the names there are, for the end of a refusal."""
    known = sorted(set(names))
    if close := get_close_matches(name, known, n=1):
        return f"did you mean {close[0]}?"
    listed = ", ".join(known[:most])
    return f"there are {listed}{', …' if len(known) > most else ''}" if known else "there are none"
