"""Words: what a verb's answer is told in, sentences, lines and tables as data; a door gives them
colours and widths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from assay.core.compute import Range
from assay.core.results import ResultData


@dataclass(frozen=True)
class Shaded:
    """A text in parts, each shaded by a share from 0 to 1: how strongly something is on there."""

    parts: Sequence[str]
    shares: Sequence[float]


Cell: TypeAlias = str | tuple[str, str] | Shaded | Sequence["Cell"]
"""What stands in a table: a text; one with what comes after it and matters less; or several, below
each other."""


@dataclass(frozen=True)
class Line:
    """A line that is copied or read by programs, such as a path: it is never broken."""

    text: str


@dataclass(frozen=True)
class Aside:
    """A line beside the answer, for whoever watches."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows below the names of columns."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Cell]]
    right: Sequence[str] = ()
    """Columns of numbers, by name."""
    wide: Mapping[str, int] = field(default_factory=dict)
    """Columns that share the room which the others leave, each with its share."""
    narrow: Mapping[str, int] = field(default_factory=dict)
    """Columns that are broken after so many characters."""
    headless: bool = False
    """Whether the names of columns are left out."""


Part: TypeAlias = str | Line | Aside | Table | ResultData
"""A part of an answer: a sentence, which may be broken into lines, a line, a table, or verdicts."""


def duration(seconds: float) -> str:
    """Write a time as it is read aloud: `8 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def lasting(seconds: Range) -> str:
    """Write a range of times as people say it: `2 to 5 min`, `40 s to 1 min 10 s`."""
    low, high = (duration(_round(x)) for x in (seconds.low, seconds.high))
    if low == high:
        return f"about {low}"
    (a, unit), (b, other) = low.split(" ", 1), high.split(" ", 1)
    return (
        f"{a} to {b} {unit}" if unit == other and unit in ("s", "min", "h") else f"{low} to {high}"
    )


def _round(seconds: float) -> float:
    """Round to the digits that an estimate has: minutes to tens of seconds, from ten minutes on
    whole ones."""
    step = 1 if seconds < 60 else 10 if seconds < 600 else 60
    return round(seconds / step) * step


def megabytes(count: float) -> str:
    """Write a number of bytes in MB or GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def batch(arms: Sequence[str], seeds: str) -> str:
    """Name what trains together so that two batches can be told apart: "main, relu and 3 more (seed
    1001)"."""
    names = ", ".join(arms) if len(arms) <= 3 else f"{', '.join(arms[:2])} and {len(arms) - 2} more"
    return f"{names} ({seeds})" if seeds else names
