"""Parts of an answer: sentences, lines, tables and verdicts, which a door gives colours and widths;
and answers that are written by a template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from assay.core.nouns import counted, plural
from assay.core.results import ResultData

Cell: TypeAlias = str | tuple[str, str]
"""A cell of a table: a text, or a text with a less important addition."""


@dataclass(frozen=True)
class Line:
    """A line that is copied or read by programs, such as a path: it is never broken."""

    text: str


@dataclass(frozen=True)
class Aside:
    """A line in addition to the answer, for the user who watches."""

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


@dataclass(frozen=True)
class InFull:
    """The statements of a result, with all that is known about each."""

    data: ResultData


AnswerPart: TypeAlias = str | Line | Aside | Table | ResultData | InFull
"""A part of an answer: a sentence, which may be broken into lines, a line, a table, or verdicts."""


@cache
def _templates() -> Any:
    from jinja2 import Environment, PackageLoader  # which `assay show` does without

    env = Environment(
        loader=PackageLoader("assay.verbs"),
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: " ".join(value.split("\n")) if isinstance(value, str) else value,
    )
    env.filters |= {
        "count": "{:,}".format,
        "repr": repr,
        "escaped": lambda text: repr(text)[1:-1],
        "fixed": lambda x, n: f"{x:,.{n}f}",
        "digits": lambda x, n: f"{x:.{n}g}",
        "noun": lambda n, noun: plural(noun, n),
        "several": counted,
    }
    return env


def written(name: str, /, **facts: Any) -> Iterator[AnswerPart]:
    """Write an answer as `templates/NAME.txt` has it: each line is a sentence, `| ` begins a line
    that is never broken, and `@NAME` becomes the table, or the parts, of that name."""
    for line in _templates().get_template(f"{name}.txt").render(facts).splitlines():
        if line.startswith("@"):
            part = facts[line[1:]]
            yield from [part] if isinstance(part, Table) else part
        else:
            yield Line(line[2:]) if line.startswith("| ") else line
