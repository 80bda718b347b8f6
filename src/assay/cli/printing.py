"""What verbs answer, set for a terminal: sentences and tables of at most 100 columns, or one JSON
object."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from assay.cli.typed import runnable
from assay.core.plain import as_json, plain
from assay.core.results import ResultData
from assay.core.schema import to_json
from assay.report import tables
from assay.verbs.words import Aside, Cell, Line, Part, Shaded, Table

if TYPE_CHECKING:
    from rich.text import Text

ORANGE = (255, 140, 0)
"""The colour of what is on most strongly, as in pages."""


def emit(data: Any) -> None:
    """Print one JSON value, and nothing else, on standard output."""
    print(as_json(to_json(data), indent=1 if sys.stdout.isatty() else None, allow_nan=False))


def show(words: Iterable[Part]) -> None:
    """Print an answer's words, part by part."""
    for part in words:
        match part:
            case str():
                say(part)
            case Line():
                tell(part.text)
            case Aside():
                tell(part.text, sys.stderr)
            case Table():
                draw(part)
            case ResultData():
                tables.show(part)


def say(text: str) -> None:
    """Print a sentence in lines of at most 100 columns."""
    print(
        textwrap.fill(
            plain(runnable(text)),
            tables.WIDTH,
            subsequent_indent="  ",
            break_on_hyphens=False,
            break_long_words=False,
        )
    )


def tell(text: str, file: TextIO | None = None) -> None:
    """Print lines as they are, but for what a terminal would obey, and for how commands are called
    here."""
    print(plain(runnable(text)), file=file)


def draw(table: Table) -> None:
    """Print a table without lines, numbers set right: as wide as the terminal, at most 100 columns,
    plain where there is no terminal."""
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(highlight=False, markup=False, emoji=False)
    coloured = console.is_terminal and console.color_system is not None
    console.width = min(tables.WIDTH, console.width) if console.is_terminal else tables.WIDTH
    grid = Grid(
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        header_style="bright_black",
        show_header=not table.headless,
        expand=bool(table.wide),
    )
    for name in table.columns:
        grid.add_column(
            plain(name),
            justify="right" if name in table.right else "left",
            overflow="fold",
            ratio=table.wide.get(name),
            max_width=table.narrow.get(name),
        )
    for row in table.rows:
        grid.add_row(*(_text(cell, coloured) for cell in row))
    with console.capture() as capture:
        console.print(grid)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _text(cell: Cell, coloured: bool) -> Text | str:
    """A cell as text; what it shows may come from anybody's files, and is never markup or a
    terminal's code."""
    from rich.text import Text

    if isinstance(cell, str):
        return plain(cell)
    if isinstance(cell, Shaded):
        return shaded(cell)
    if isinstance(cell, tuple):
        words, more = map(plain, cell)
        return Text.assemble((words, "bold"), (more, "bright_black"))
    lines = [c for c in cell if coloured or not isinstance(c, Shaded)]
    return Text("\n").join(Text.assemble(_text(c, coloured)) for c in lines)


def shaded(text: Shaded) -> Text:
    """Shade each part from white to orange, linear in its share."""
    from rich.style import Style
    from rich.text import Text

    out = Text()
    for part, share in zip(text.parts, text.shares, strict=True):
        out.append(plain(part), Style(color="#1f2328", bgcolor=colour(share)) if share > 0 else "")
    return out


def colour(share: float) -> str:
    """The colour of a share from 0, white, to 1, orange."""
    return "#" + "".join(f"{round(255 + share * (c - 255)):02x}" for c in ORANGE)
