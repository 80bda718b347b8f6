"""The terminal as a door: where answers are printed, bars are shown, and somebody is asked."""

from __future__ import annotations

import contextlib
import io
import sys
import webbrowser
from typing import TYPE_CHECKING, Any

from rich.console import Console

from assay.cli.printing import emit, show, tell
from assay.report import tables
from assay.verbs.verb import Answer, Call

if TYPE_CHECKING:
    from assay.cli.bars import Bar, Measuring, Stages
    from assay.cli.progress import Display, SeriesDisplay


class Terminal:
    """Where a verb was typed; all that waits for nobody goes to standard error."""

    def __init__(self, json: bool) -> None:
        self.json, self.out = json, sys.stdout
        self.attended = not json and sys.stdin.isatty()

    @property
    def width(self) -> int:
        """Characters in a line: those of the terminal, at most 100, which is what a file has."""
        return min(tables.WIDTH, Console().width) if self.out.isatty() else tables.WIDTH

    def bar(self, name: str, unit: str) -> Bar:
        """Begin a bar."""
        from assay.cli.bars import Bar

        return Bar(name, unit)

    def stages(self, name: str) -> Stages:
        """Begin a bar for each stage of an index."""
        from assay.cli.bars import Stages

        return Stages(name)

    def measuring(self) -> Measuring:
        """Begin the bar of an evaluation."""
        from assay.cli.bars import Measuring

        return Measuring()

    def run(self, name: str) -> Display:
        """Begin to show a run."""
        from assay.cli.progress import Display

        return Display(name)

    def series(self, name: str) -> SeriesDisplay:
        """Begin to show a series."""
        from assay.cli.progress import SeriesDisplay

        return SeriesDisplay(name)

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
    """Standard error for whoever prints on standard output, and may close it."""

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
