"""The terminal as a door: where answers are printed, bars are shown, and the user is asked."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
import webbrowser
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console

from assay.core.plain import as_json, plain
from assay.core.results import ResultData
from assay.core.schema import to_json
from assay.report import tables
from assay.verbs.parts import AnswerPart, Aside, Cell, InFull, Line, Table
from assay.verbs.verb import Answer, Call

if TYPE_CHECKING:
    from rich.text import Text

    from assay.cli.progress import Bar, Display, Measuring, Stages


class Terminal:
    """The terminal where a verb was typed; progress and asides go to standard error."""

    def __init__(self, json: bool) -> None:
        self.json, self.out = json, sys.stdout
        self.attended = not json and sys.stdin.isatty()

    @property
    def width(self) -> int:
        """Characters in a line: those of the terminal, at most 100, which is what a file has."""
        return min(tables.WIDTH, Console().width) if self.out.isatty() else tables.WIDTH

    def bar(self, name: str, unit: str) -> Bar:
        """Begin a bar."""
        from assay.cli.progress import Bar

        return Bar(name, unit)

    def stages(self, name: str) -> Stages:
        """Begin a bar for each stage of an index."""
        from assay.cli.progress import Stages

        return Stages(name)

    def measuring(self) -> Measuring:
        """Begin the bar of an evaluation."""
        from assay.cli.progress import Measuring

        return Measuring()

    def run(self, name: str) -> Display:
        """Begin to show a run."""
        from assay.cli.progress import Display

        return Display(name)

    def aside(self, text: str) -> None:
        """Print a line on standard error."""
        tell(text, sys.stderr)

    def asks(self, question: str) -> bool:
        """Ask for yes or no."""
        with contextlib.redirect_stdout(self.out):
            return input(question).strip().lower() in {"y", "yes"}

    def speaking(self) -> contextlib.AbstractContextManager[Any]:
        """Leave standard output to a protocol that is spoken on it."""
        return contextlib.redirect_stdout(self.out)

    def open(self, address: str) -> None:
        """Show a page in the browser."""
        webbrowser.open(address)

    def answer(self, answer: Answer[Any]) -> None:
        """Print an answer: one JSON value and nothing else, or its words."""
        with contextlib.redirect_stdout(self.out):
            if not self.json:
                show(answer.words)
            elif answer.result is not None:
                emit(answer.result)
            sys.stdout.flush()


class _Aside(io.TextIOBase):
    """Standard error for code that prints on standard output, and may close it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        pass


def answer(call: Call) -> int:
    """Do what was typed and print what it answers; the exit code. What an experiment's own code
    prints meanwhile goes to standard error."""
    door = Terminal(call.json)
    with contextlib.redirect_stdout(_Aside()):
        given = call.begin(door)
    door.answer(given)
    return given.code


MEANT = re.compile(r"did you mean \"?(?P<right>[^\s?\"]+)\"?\?", re.IGNORECASE)

CONDITIONS = ("--claim", "--estimate", "--holds")
"""Options with conditions, in which one name may be mistaken."""


def emit(data: Any) -> None:
    """Print one JSON value, and nothing else, on standard output."""
    print(as_json(to_json(data), indent=1 if sys.stdout.isatty() else None, allow_nan=False))


def show(words: Iterable[AnswerPart]) -> None:
    """Print an answer's words, part by part."""
    for part in words:
        match part:
            case str():
                print(tables.filled(part))
            case Line():
                tell(part.text)
            case Aside():
                tell(part.text, sys.stderr)
            case Table():
                draw(part)
            case ResultData():
                tables.show(part)
            case InFull():
                tables.show(part.data, verbose=True)


def tell(text: str, file: TextIO | None = None) -> None:
    """Print lines as they are, but for what a terminal would obey."""
    print(plain(text), file=file)


def draw(table: Table) -> None:
    """Print a table without lines, numbers set right: as wide as the terminal, at most 100 columns,
    plain where there is no terminal."""
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(highlight=False, markup=False, emoji=False)
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
        grid.add_row(*map(_text, row))
    with console.capture() as capture:
        console.print(grid)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _text(cell: Cell) -> Text | str:
    """A cell as text; what it shows may come from anybody's files, and is never markup or a
    terminal's code."""
    from rich.text import Text

    if isinstance(cell, str):
        return plain(cell)
    words, more = map(plain, cell)
    return Text.assemble((words, "bold"), (more, "bright_black"))


def meant(lines: Sequence[str], words: Sequence[str]) -> list[str]:
    """End the lines that say what is wrong with the whole command, where each has a "did you mean
    …?" of a word that was typed."""
    shown, right, is_corrected = list[str](), [*words], True
    for text in lines:
        match = MEANT.search(text)
        wrong = mistaken(text[: match.start() if match else None], words)
        if match is None or wrong is None:
            shown, is_corrected = [*shown, text], False
            continue
        word, piece = wrong
        shown.append(text[: match.end()])
        name, put = re.compile(rf"(?<![\w-]){re.escape(piece)}(?![\w-])"), match["right"]
        right = [name.sub(put, r) if w == word else r for w, r in zip(words, right, strict=True)]
    if not is_corrected:
        return shown
    return [*shown[:-1], f"{shown[-1]} Type: assay {shlex.join(right)}"]


def mistaken(text: str, words: Sequence[str]) -> tuple[str, str] | None:
    """Find which of the words that were typed a text calls wrong, and which name in it, the one
    that is quoted last: the whole word, or a part of a condition; None where it is none of them."""
    quoted = re.findall(r"'([^']+)'", text)
    named = (w for w in words if f"'{w}'" in text or f'"{w}"' in text)
    if word := next(named, None):
        return word, quoted[-1] if quoted and quoted[-1] in word else word
    if not quoted:
        return None
    conditions = (word for option, word in pairwise(words) if option in CONDITIONS)
    part = re.compile(rf"(?<![\w-]){re.escape(quoted[-1])}(?![\w-])")
    return next(((word, quoted[-1]) for word in conditions if part.search(word)), None)


def placed(text: str, words: Sequence[str]) -> str:
    """Have the command at the end of an error name the file and (once) the store typed."""
    for path in (word for word in words if Path(word).name != word and not word.startswith("-")):
        pattern = re.compile(rf"(?<=assay run ){re.escape(Path(path).name)}(?![\w-])")
        text = pattern.sub(lambda _, path=path: shlex.quote(path), text)  # type: ignore[misc]
    root = next((after for word, after in pairwise(words) if word == "--root"), "")
    return (
        f"{text} --root {shlex.quote(root)}"
        if root and re.search(r"assay run ((?!--root)[^;`,])*$", text)
        else text
    )
